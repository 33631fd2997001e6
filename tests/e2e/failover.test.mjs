// A region dies, freezes, comes back. The application goes on; the proxy can say why it did what it did.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import nano from 'nano';
import { request } from '../support/http.mjs';
import { Loads } from '../support/load.mjs';
import { withProxy } from '../support/proxy.mjs';
import { everywhere } from '../support/region.mjs';
import { answer, FIN, RESET, STALL } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';

const suite = useRegions(2, { replicated: true });
const loads = new Loads(suite, nano, 'load');

async function finish(load, t) {
    await load.stop();
    t.diagnostic(load.summary());
    assert.deepEqual(load.failed, []);
    assert.ok(load.acknowledged.length > 0);
}

// What the journal has of the active region's changes, oldest first.
const moves = async (proxy) => (await proxy.events()).filter((line) => /^(failover|failback|switch|lost|regained)$/.test(line.event));
const healthy = (proxy, name) => until(`${name} to be up`, async () => (await proxy.region(name)).health === 'up');

test(
    'the active region is killed: no request fails, nothing acknowledged is lost, and it is told why',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        const [left, right] = suite.regions;
        const load = await loads.start(proxy, t, { mix: ['get', 'get', 'put', 'get', 'put', 'find'] });
        assert.equal(await proxy.active(), 'left');
        await left.kill();
        const killed = Date.now();
        await load.done(200, killed);
        await proxy.untilActive('right');
        const status = await proxy.status();
        assert.notEqual(status.why, '');
        const dead = await proxy.region('left');
        assert.equal(dead.health, 'down');
        assert.notEqual(dead.why, '');
        t.diagnostic(`why: ${status.why} | left: ${dead.why}`);
        const [move] = await moves(proxy);
        assert.deepEqual([move.event, move.before, move.after, move.actor], ['failover', 'left', 'right', 'governor']);
        assert.equal(move.epoch, status.epoch);
        assert.notEqual(move.reason, '');
        await load.done(100);

        await left.revive();
        await load.done(100);
        await finish(load, t);
        await everywhere([left, right], suite.db, load.acknowledged);
    }),
);

// The other region's pauses, which are the machine's, are waited for.
test(
    'the active region freezes: what may be sent again is only slower',
    withProxy(() => suite.regions, { probe: { timeout_ms: 3_000 }, hold: { ms: 300_000 } }, async (proxy, t) => {
        const [left] = suite.regions;
        const load = await loads.start(proxy, t);
        left.freeze();
        const frozen = Date.now();
        await load.done(200, frozen);
        await proxy.untilActive('right');
        left.thaw();
        await healthy(proxy, 'left'); // by requests of this load: they had a part in its fall
        await finish(load, t);
    }),
);

test(
    'a region that is back is not used at once, but after the hold-down',
    withProxy(() => suite.regions, { failback: { mode: 'hold_down', hold_down_ms: 4_000 } }, async (proxy, t) => {
        const [left] = suite.regions;
        const load = await loads.start(proxy, t);
        await left.kill();
        await proxy.untilActive('right');
        await left.revive();
        // It is well, and the traffic is still elsewhere, with a time at which that ends.
        const status = await until('left to be up', async () => {
            const told = await proxy.status();
            return told.regions[0].health === 'up' && told;
        });
        const gone = Date.now();
        if (status.active === 'right') {
            assert.ok(status.failback_at, 'the status tells when the hold-down ends');
        }
        await proxy.untilActive('left');
        t.diagnostic(`back ${Date.now() - gone} ms after it was seen to be up`);
        await load.done(50);
        await finish(load, t);

        // By the journal's own clock: from up to active no less than the hold-down.
        const lines = (await proxy.events());
        const time = (line) => Date.parse(line.time ?? line.ts ?? line.at);
        const back = lines.findLast((line) => /failback/.test(line.event));
        const up = lines.findLast((line) => line.region === 'left' && (line.after === 'up' || line.after?.health === 'up'));
        assert.ok(back && up, `journal: ${JSON.stringify(lines)}`);
        assert.ok(time(back) - time(up) >= 3_900, `${JSON.stringify(up)}\n${JSON.stringify(back)}`);
    }),
);

test(
    'in manual mode only an operator brings the traffic back',
    withProxy(() => suite.regions, { failback: { mode: 'manual' } }, async (proxy, t) => {
        const [left] = suite.regions;
        const load = await loads.start(proxy, t);
        await left.kill();
        await proxy.untilActive('right');
        await left.revive();
        await healthy(proxy, 'left');
        const { probes_ok: probes } = await proxy.region('left');
        await until('ten more probes', async () => (await proxy.region('left')).probes_ok >= probes + 10);
        assert.equal(await proxy.active(), 'right');

        assert.equal((await proxy.move('nowhere', 'a test')).status, 404);
        assert.equal(await proxy.active(), 'right');
        assert.equal((await proxy.move('left', 'a test')).status, 200);
        await proxy.untilActive('left');
        const last = (await moves(proxy)).at(-1);
        assert.deepEqual([last.event, last.before, last.after], ['switch', 'right', 'left']);
        assert.match(last.reason, /a test/);
        await load.done(50);
        await finish(load, t);
    }),
);

test(
    'no region is left: a clear 503, and service again as soon as one is back',
    withProxy(() => suite.regions, { no_region: { retry_after_s: 7 }, hold: { ms: 0 } }, async (proxy, t) => {
        await loads.start(proxy, t).then((load) => load.stop());
        await Promise.all(suite.regions.map((region) => region.kill()));
        const refused = await until('no_region_available', async () => {
            const got = await request(`${loads.url(proxy)}/${loads.known[0]}`);
            assert.equal(got.status, 503);
            return got.json.error === 'no_region_available' && got;
        });
        assert.equal(refused.headers['retry-after'], '7');
        assert.match(refused.headers['content-type'], /^application\/json/);
        assert.ok(refused.json.reason);
        assert.equal((await request(`${loads.url(proxy)}/x`, { method: 'PUT', json: {} })).status, 503);
        await until('not ready', async () => (await request(`${proxy.admin}/readyz`)).status === 503);
        assert.equal((await request(`${proxy.admin}/healthz`)).status, 200);
        const unready = proxy.cli('status', '--ready');
        assert.deepEqual([unready.status, unready.stdout], [1, '']);
        assert.match(unready.stderr, /^davenport: refused \(not_ready\): (no region can take requests|every region is silent: .*)\n$/);

        // The least preferred one is enough.
        await suite.regions[1].revive();
        await until('service', async () => (await request(`${loads.url(proxy)}/${loads.known[0]}`)).status === 200);
        await until('ready', async () => (await request(`${proxy.admin}/readyz`)).status === 200);
        assert.equal(await proxy.active(), 'right');
    }),
);

test(
    'a region that is dead from the start is passed over',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        await loads.start(proxy, t).then((load) => load.stop());
        await suite.regions[0].kill();
        await proxy.stop();
        await proxy.run();
        const got = await request(`${loads.url(proxy)}/${loads.known[0]}`);
        assert.equal(got.status, 200);
        await proxy.untilActive('right');
    }),
);

// With scripted regions it is known exactly what each was sent.
async function scripted(t, over, body) {
    const regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    try {
        await withProxy(regions, over, (proxy) => body(proxy, ...regions))(t);
    } finally {
        await Promise.all(regions.map((region) => region.close()));
    }
}

for (const [how, script] of [['closes', [FIN]], ['resets', [RESET]]]) {
    test(`a region ${how} after it read a request: POST without ids is in doubt, all else goes to the other region`, (t) =>
        scripted(t, { replay: { mint_ids: 'no' } }, async (proxy, left, right) => {
            left.on(/^(GET|HEAD|PUT|POST|DELETE|COPY) \/db/, script);
            right.on(/ \/db/, (asked) => [answer(asked.method === 'PUT' ? 201 : 200, { from: 'right' }, { headless: asked.method === 'HEAD' })]);
            const ask = (method, path, options = {}) => request(`${proxy.origin}/db${path}`, { method, ...options });

            // A document without an id, sent twice, would be two documents.
            const doubt = await ask('POST', '', { json: { n: 1 } });
            assert.equal(doubt.status, 503);
            assert.equal(doubt.json.error, 'outcome_unknown');
            assert.ok(doubt.json.reason);
            assert.equal(doubt.headers['davenport-outcome'], 'unknown');
            assert.equal(right.seen(/^POST/).length, 0);
            assert.equal(left.seen(/^POST/).length, 1);

            for (const [method, path, options] of [
                ['GET', '/a'],
                ['HEAD', '/a'],
                ['PUT', '/a', { json: { n: 1 } }],
                ['DELETE', '/a?rev=1-x'],
                ['POST', '/_find', { json: { selector: {} } }],
                ['POST', '/_all_docs', { json: { keys: ['a'] } }],
                ['POST', '/_bulk_get', { json: { docs: [{ id: 'a' }] } }],
            ]) {
                const got = await ask(method, path, options);
                assert.ok([200, 201].includes(got.status), `${method} ${path}: ${got.status} ${got.text}`);
            }
            // What the second region got is what the client sent.
            assert.equal(right.seen(/^PUT/)[0].body.toString(), '{"n":1}');
            assert.equal(right.seen(/^POST \/db\/_find/)[0].body.toString(), '{"selector":{}}');
        }));
}

test('documents get their ids here, so a POST goes to the other region too, with the same ones', (t) =>
    scripted(t, {}, async (proxy, left, right) => {
        left.on(/^POST \/db/, [FIN]);
        right.on(/^POST \/db/, [answer(201, { ok: true })]);
        const ask = (path, body, headers = {}) =>
            request(`${proxy.origin}/db${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
        const sent = (region) => region.seen(/^POST/).at(-1);
        const one = await ask('', '{"n":1}');
        assert.equal(one.status, 201);
        assert.match(sent(left).body.toString(), /^\{"n":1,"_id":"[0-9a-f]{32}"\}$/);
        assert.deepEqual(sent(right).body, sent(left).body);

        // As IBM's SDKs send it.
        const docs = JSON.stringify({ docs: [{ _id: 'mine', n: 1 }, { n: 2 }] });
        const many = await ask('/_bulk_docs', gzipSync(docs), { 'content-encoding': 'gzip' });
        assert.equal(many.status, 201);
        assert.match(sent(left).body.toString(), /^\{"docs":\[\{"_id":"mine","n":1\},\{"n":2,"_id":"[0-9a-f]{32}"\}\]\}$/);
        assert.equal(sent(left).headers['content-encoding'], undefined);
        assert.deepEqual(sent(right).body, sent(left).body);
        assert.equal((await proxy.metric('davenport_ids_minted_total')), 2);
    }));

test('a region that refuses connections never saw the request: POST goes to the other one too', (t) =>
    scripted(t, {}, async (proxy, left, right) => {
        right.on(/^POST \/db/, [answer(201, { ok: true, id: 'x', rev: '1-x' })]);
        await left.kill();
        const got = await request(`${proxy.origin}/db`, { method: 'POST', json: { n: 1 } });
        assert.equal(got.status, 201);
        assert.equal(right.seen(/^POST/).length, 1);
    }));

test('a pooled connection that went stale fails no request, and is no evidence', (t) =>
    scripted(t, { workers: 1, probe: { interval_ms: 60_000 } }, async (proxy, left) => {
        left.on(/^(GET|POST) \/db/, [answer(200, { from: 'left' })]);
        await healthy(proxy, 'left'); // its next probe is a minute away: none is among the connections cut below
        for (let i = 0; i < 30; i += 1) {
            const method = i % 2 ? 'POST' : 'GET';
            const got = await request(`${proxy.origin}/db/_find`, { method, json: method === 'POST' ? {} : undefined });
            assert.deepEqual([got.status, got.json.from], [200, 'left']);
            // The region closes its idle connections, as a restart or its own timeout would.
            left.connections.forEach((socket) => socket.destroy());
        }
        assert.equal(await proxy.active(), 'left');
        assert.equal((await proxy.status()).failovers, 0);
    }));

test('a body too large to be kept is sent once', (t) =>
    scripted(t, { limits: { replay_body_bytes: 65_536 } }, async (proxy, left, right) => {
        left.on(/^PUT \/db\/big/, [FIN]);
        right.on(/^PUT \/db/, [answer(201, { ok: true })]);
        const got = await request(`${proxy.origin}/db/big`, { method: 'PUT', body: Buffer.alloc(300_000, 'x') });
        assert.equal(got.status, 503);
        assert.equal(got.json.error, 'outcome_unknown');
        assert.equal(right.seen(/^PUT/).length, 0);
    }));

// How long an answer may take is the same for both regions. So where the one that answers was kept waiting for so long by the machine,
// nothing is proved: then again.
test('a region that takes requests and never answers, though its probes pass', async (t) => {
    for (let tries = 1, proved = false; !proved; tries += 1) {
        await scripted(t, { timeouts: { answer_ms: 1_500 }, traffic: { failures: 3 } }, async (proxy, left, right) => {
            left.on(/ \/db/, [STALL]);
            right.on(/ \/db/, [answer(200, { from: 'right' })]);
            const got = [];
            for (let i = 0; i < 3; i += 1) {
                got.push(await request(`${proxy.origin}/db/a`));
            }
            if ((await proxy.region('right')).outcomes.answer_timeout > 0 && tries < 5) {
                return;
            }
            proved = true;
            assert.deepEqual(got.map((one) => [one.status, one.json.from]), Array(3).fill([200, 'right']));
            const seen = await until('the region to be left', async () => {
                const region = await proxy.region('left');
                return region.health === 'down' && region;
            });
            assert.match(seen.why, /request/);
            assert.equal(seen.outcomes.answer_timeout, 3);
        });
    }
});

test('a region in maintenance is left although it answers', (t) =>
    scripted(t, {}, async (proxy, left, right) => {
        left.on('GET /db/a', [answer(200, { from: 'left' })]);
        right.on('GET /db/a', [answer(200, { from: 'right' })]);
        assert.equal((await request(`${proxy.origin}/db/a`)).json.from, 'left');
        const rule = left.play('01-server/mm-up', (asked) => asked.target === '/_up');
        await proxy.untilActive('right');
        assert.equal((await request(`${proxy.origin}/db/a`)).json.from, 'right');
        rule.left = 0;
        await proxy.untilActive('left');
        left.play('01-server/nolb-up', (asked) => asked.target === '/_up');
        await proxy.untilActive('right');
    }));
