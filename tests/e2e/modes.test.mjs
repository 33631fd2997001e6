// Where requests go in each mode, with real processes: three scripted regions that say who answered, two near and one far.
// The far one is so far that no noise of the machine brings it near.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { httpClient, Load } from '../support/load.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

const FAR_MS = 3_000;
let regions;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right'), await ScriptedRegion.start('far')];
    for (const region of regions) {
        const way = region.name === 'far' ? [{ pause: FAR_MS }] : [];
        region.on(/^GET \/_up/, [...way, answer(200, { status: 'ok' })]);
        region.on(/^GET \/[a-z]/, [...way, answer(200, { from: region.name })]);
        region.on(/^PUT \/[a-z]/, [...way, answer(201, { ok: true, from: region.name })]);
        region.on(/^POST \/[a-z]+\/_find/, [...way, answer(200, { docs: [{ from: region.name }] })]);
    }
});
beforeEach(() => Promise.all(regions.filter((region) => region.server === null).map((region) => region.revive())));
after(() => Promise.all(regions.map((region) => region.close())));

const base = { failback: { hold_down_ms: 500 } };
const proxied = (over, body) => withProxy(() => regions, { ...base, ...over }, body);

const ask = (proxy, path, options = {}) => request(`${proxy.origin}${path}`, options);
const get = async (proxy, path = '/db/a', headers = {}) => (await ask(proxy, path, { headers })).json.from;
const put = (proxy, path = '/db/a') => ask(proxy, path, { method: 'PUT', json: {} });
const many = async (times, what) => new Set(await Promise.all(Array.from({ length: times }, what)));

// Left and right are near, far is not. The workers measure that, and a machine that keeps a region waiting may change it: what
// hangs on it holds between two looks that agree, no further apart than changes are at least; if not, it is tried again.
const DWELL_MS = 10_000;
async function asMeasured(proxy, body) {
    const measured = async () => {
        const { regions: [left, right, far] } = await proxy.status();
        return left.near && right.near && far.near === false && far.distance_ms > FAR_MS / 2;
    };
    for (let tries = 1; ; tries += 1) {
        await until('the distances to be known', measured);
        const began = performance.now();
        try {
            return await body();
        } catch (error) {
            if (tries === 10 || ((await measured()) && performance.now() - began < DWELL_MS)) {
                throw error;
            }
        }
    }
}
const health = (proxy, name, state) => until(`${name} to be ${state}`, async () => (await proxy.region(name)).health === state);

test(
    'active-active: the nearest regions share all requests, the others take over when they are lost',
    proxied({ mode: 'active-active' }, async (proxy, t) => {
        await asMeasured(proxy, async () => {
            assert.deepEqual(await many(40, () => get(proxy)), new Set(['left', 'right']));
            assert.deepEqual(await many(40, async () => (await put(proxy)).json.from), new Set(['left', 'right']));
            assert.match(proxy.cli('explain').stdout, /mode active-active: reads and writes go to the nearest regions, now left \([\d.]+ ms\) and right \([\d.]+ ms\)/);
            assert.match(proxy.cli('explain').stdout, /not one of the nearest \(\d+\.\d ms\)/);
            assert.match(proxy.cli('status').stdout, /^Mode: active-active; nearest: left \([\d.]+ ms\), right \([\d.]+ ms\)$/m);
            assert.equal(await proxy.metric('davenport_region_near_workers'), 2);
        });
        assert.deepEqual(await many(5, () => get(proxy, '/db/_local/c')), new Set(['left']), 'what belongs to one region');

        const load = new Load(httpClient(`${proxy.origin}/db`), { known: ['a', 'b'], clients: 8, mix: ['get', 'put', 'find'] });
        t.after(() => load.stop());
        await load.done(50);
        await regions[0].kill();
        await health(proxy, 'left', 'down');
        await load.done(50);
        assert.deepEqual(await many(10, () => get(proxy)), new Set(['right']));
        await regions[0].revive();
        await until('left to serve again', async () => (await get(proxy)) === 'left');
        await load.stop();
        assert.deepEqual(load.failed, []);

        await Promise.all([regions[0].kill(), regions[1].kill()]);
        assert.equal(await get(proxy), 'far');
    }),
);

test(
    'write-primary without failover of writes: they are refused while reads go on, until the region is back or they are moved',
    proxied({ mode: 'write-primary', writes_failover: false }, async (proxy) => {
        await asMeasured(proxy, async () => assert.deepEqual(await many(40, () => get(proxy)), new Set(['left', 'right'])));
        assert.deepEqual(await many(10, async () => (await put(proxy)).json.from), new Set(['left']));

        await regions[0].kill();
        const refused = await put(proxy);
        assert.deepEqual([refused.status, refused.json.error], [503, 'primary_unavailable']);
        assert.match(refused.headers['retry-after'], /^\d+$/);
        await health(proxy, 'left', 'down');
        assert.deepEqual(await many(10, () => get(proxy)), new Set(['right']));
        assert.match(proxy.cli('explain').stdout, /writes are refused \(primary_unavailable\): left is down, and writes_failover is false; davenport switch moves them/);

        await regions[0].revive();
        await until('writes to be taken again', async () => (await put(proxy)).status === 201);
        assert.equal((await put(proxy)).json.from, 'left');

        await regions[0].kill();
        await health(proxy, 'left', 'down');
        assert.equal((await proxy.move('right', 'left stays down')).status, 200);
        await until('writes to be taken elsewhere', async () => (await put(proxy)).status === 201);
        assert.equal((await put(proxy)).json.from, 'right');
        await regions[0].revive();
        await until('left to be up again, by requests', async () => {
            await get(proxy);
            return (await proxy.region('left')).health === 'up';
        });
        assert.equal((await put(proxy)).json.from, 'right', 'they stay where they were sent');
        proxy.child.signal('SIGKILL');
        await proxy.child.wait();
        rmSync(proxy.portFile);
        await proxy.run();
        assert.equal((await proxy.status()).home, 'right', 'over a restart, too');
    }),
);

test(
    'write-primary with failover of writes: none fails',
    proxied({ mode: 'write-primary' }, async (proxy, t) => {
        const load = new Load(httpClient(`${proxy.origin}/db`), { known: ['a'], clients: 8, mix: ['get', 'put'] });
        t.after(() => load.stop());
        await load.done(50);
        await regions[0].kill();
        await proxy.untilActive('right');
        await load.done(50);
        await load.stop();
        assert.deepEqual(load.failed, []);
        assert.equal((await put(proxy)).json.from, 'right');
    }),
);

test(
    'a mode of its own for databases that match a pattern',
    proxied({ mode: 'active-active', databases: { 'ledger/*': { mode: 'active-passive' } } }, async (proxy) => {
        assert.deepEqual(await many(20, () => get(proxy, '/ledger%2F2026/a')), new Set(['left']));
        await asMeasured(proxy, async () => assert.deepEqual(await many(40, () => get(proxy, '/ledger/a')), new Set(['left', 'right'])));
        assert.match(proxy.cli('explain').stdout, /1 pattern of databases has a rule of its own/);
    }),
);

test(
    'sticky by header: the same region for the same value, or an error where it is not to be moved',
    proxied({ mode: 'active-active', sticky: { by: 'header', header: 'X-Client', on_loss: 'refuse' } }, async (proxy) => {
        const [mine, other] = await asMeasured(proxy, async () => {
            const home = [];
            for (let i = 0; i < 12; i += 1) {
                home.push(await get(proxy, '/db/a', { 'X-Client': `user-${i}` }));
            }
            const found = ['left', 'right'].map((region) => home.indexOf(region));
            assert.ok(found.every((n) => n >= 0), home.join());
            return found.map((n) => `user-${n}`);
        });
        await regions[0].kill();
        await health(proxy, 'left', 'down');
        const lost = await ask(proxy, '/db/a', { headers: { 'X-Client': mine } });
        assert.deepEqual([lost.status, lost.json.error], [503, 'sticky_region_lost']);
        assert.equal(await get(proxy, '/db/a', { 'X-Client': other }), 'right');
        assert.equal(await get(proxy), 'right', 'without the header nothing is sticky');
    }),
);

test(
    'a region that throttles is spared, and not taken for a failed one',
    proxied({ mode: 'active-active' }, async (proxy) => {
        const enough = regions[0].on(/^GET \/db\/t/, [answer(429, { error: 'too_many_requests' }, { headers: { 'Retry-After': '60' } })]);
        await asMeasured(proxy, async () => {
            const answers = await Promise.all(Array.from({ length: 40 }, () => ask(proxy, '/db/t')));
            assert.ok(answers.every((one) => one.status === 200 && one.json.from !== 'left'));
            assert.ok((await proxy.metric('davenport_throttled_elsewhere_total')) > 0);
        });
        const before = regions[0].requests.length;
        await many(20, () => get(proxy, '/db/t'));
        assert.equal(regions[0].requests.length, before, 'no more of the same');
        assert.equal((await proxy.region('left')).health, 'up');
        assert.equal(await proxy.active(), 'left');
        enough.left = 0;
    }),
);
