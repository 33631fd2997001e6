// Slow reads are asked for once more elsewhere: the answer comes from where it is there first, never more often than the
// configuration allows, and what must not be read elsewhere is not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

const PERCENT = 2;
let left;
let right;

before(async () => {
    [left, right] = await Promise.all([ScriptedRegion.start('left'), ScriptedRegion.start('right')]);
});
beforeEach(() => {
    for (const region of [left, right]) {
        region.rules = [];
        region.requests = [];
        region.on(/^GET \/db\//, [answer(200, { from: region.name })]);
        region.on(/^PUT \/db\//, [answer(201, { ok: true, from: region.name })]);
    }
});
after(() => Promise.all([left.close(), right.close()]));

const hedged = { hedge: { percent: PERCENT }, timeouts: { answer_ms: 0 }, hold: { ms: 0 } };
const get = async (proxy, path = '/db/a') => (await request(`${proxy.origin}${path}`)).json.from;

// It is known what is usual, and there are hedges to spend.
async function ready(proxy) {
    await until('what is usual', async () => {
        assert.equal(await get(proxy), 'left');
        return (await proxy.region('left')).usual_ms > 0;
    }, { every_ms: 0 });
    for (let i = 0; i < 2 * (100 / PERCENT); i += 1) {
        await get(proxy);
    }
}

// One answer of `left` that does not come before the test says so.
function stuck(match) {
    let release;
    const until_then = new Promise((resolve) => {
        release = resolve;
    });
    left.on(match, [{ until: until_then }, answer(200, { from: 'left, at last' })], { times: 1 });
    return release;
}

const asked = (region, path) => region.requests.filter((one) => one.target === path).length;

// A read that `left` keeps waiting and that `right` was asked for too: {path, release, reading}. What else goes on earns hedges
// meanwhile. But whether a connection stands is looked at once a read, so another one has its turn when none did.
async function twice(proxy) {
    for (let n = 0; n < 20; n += 1) {
        const path = `/db/slow-${n}`;
        const release = stuck(`GET ${path}`);
        const reading = get(proxy, path);
        for (let i = 0; i < 500 && asked(right, path) === 0; i += 1) {
            await get(proxy);
        }
        if (asked(right, path) > 0) {
            return { path, release, reading };
        }
        release();
        assert.equal(await reading, 'left, at last');
    }
    throw new Error('nothing was asked for a second time');
}

const proxied = (over, body) => withProxy(() => [left, right], { ...hedged, ...over }, body);

test('a read whose answer does not begin comes from the other region', proxied({}, async (proxy, t) => {
    await ready(proxy);
    const { path, release, reading } = await twice(proxy);
    // No time is told: the first one answers only after the second one has.
    assert.equal(await reading, 'right');
    release();
    assert.deepEqual([asked(left, path), asked(right, path)], [1, 1]);
    assert.ok((await proxy.metric('davenport_hedges_won_total')) >= 1);
    assert.equal(await proxy.active(), 'left', 'it is no evidence');
    const all = await proxy.metric('davenport_client_requests_total');
    const hedges = await proxy.metric('davenport_hedges_total');
    t.diagnostic(`${hedges} hedges of ${all} requests`);
    assert.ok(hedges >= 1 && hedges <= (all * PERCENT) / 100 + 1);
}));

test('what the other region answers badly is not taken, and writes are not asked for twice', proxied({}, async (proxy) => {
    await ready(proxy);
    right.on(/^GET \/db\/slow-/, [answer(404, { error: 'not_found', reason: 'missing' })]);
    const thrown = async () => (await proxy.region('right')).outcomes.abandoned;
    const before = await thrown();
    const { release, reading } = await twice(proxy);
    await until('its answer to be thrown away', async () => (await thrown()) > before);
    release();
    assert.equal(await reading, 'left, at last');

    const later = stuck(/^PUT \/db\/w$/);
    const writing = request(`${proxy.origin}/db/w`, { method: 'PUT', json: {} });
    await until('the write to have come', () => left.seen(/^PUT \/db\/w$/).length === 1);
    for (let i = 0; i < 20; i += 1) { // other requests go on meanwhile, and time with them
        await get(proxy);
    }
    later();
    assert.equal((await writing).json.from, 'left, at last');
    assert.equal(right.seen(/^PUT/).length, 0);
}));

test('off by default', proxied({ hedge: {} }, async (proxy) => {
    await ready(proxy);
    const release = stuck(/^GET \/db\/slow$/);
    const reading = get(proxy, '/db/slow');
    await until('the request to have come', () => left.seen(/\/db\/slow$/).length === 1);
    for (let i = 0; i < 200; i += 1) {
        await get(proxy);
    }
    release();
    assert.equal(await reading, 'left, at last');
    assert.equal(right.requests.length, 0);
    assert.equal(await proxy.metric('davenport_hedges_total'), 0);
}));
