// Several workers, hundreds of connections, regions that come and go: what the thread sanitizer should see.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpClient, Load } from '../support/load.mjs';
import { withProxy } from '../support/proxy.mjs';
import { answer, chunk, chunkedHead } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

const CONNECTIONS = 200;

const quick = {
    workers: 4,
    probe: { interval_ms: 200, fast_interval_ms: 50 },
    failback: { hold_down_ms: 300 },
    hold: { ms: 120_000 }, // how long a slow machine takes for a move is its own matter
};

// A continuous feed of `left`: one that began in the other region, for a bad moment of this one, rightly stays there.
const followLeft = (proxy) =>
    until('a feed of left', async () => {
        const wire = await Wire.connect(proxy.port);
        wire.send('GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: h\r\n\r\n');
        const [head] = await wire.text(/^[^]*?\r\n\r\n/);
        if (/\r\nDavenport-Region: left\r\n/.test(head)) {
            return wire;
        }
        wire.destroy();
        return null;
    });

test('four workers and 200 connections through failover, failback and switches', async (t) => {
    const regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    for (const region of regions) {
        region.on(/^GET \/db\//, [answer(200, { from: region.name })]);
        region.on(/^PUT \/db\//, [answer(201, { ok: true })]);
        region.on(/^POST \/db\/_find/, [answer(200, { docs: [{}] })]);
        region.on(/feed=continuous/, [chunkedHead(), chunk('\n'), { until: new Promise(() => {}) }]);
    }
    await withProxy(regions, quick, async (proxy) => {
        const load = new Load(httpClient(`${proxy.origin}/db`, { sockets: CONNECTIONS }), {
            known: ['a', 'b', 'c'],
            clients: CONNECTIONS,
            think_ms: 200,
            mix: ['get', 'put', 'get', 'find'],
        });
        let feeds;
        try {
            feeds = await Promise.all(Array.from({ length: 20 }, () => followLeft(proxy)));
            await load.done(2 * CONNECTIONS);
            for (let round = 0; round < 3; round += 1) {
                await regions[0].kill();
                await proxy.untilActive('right');
                await load.done(CONNECTIONS);
                await regions[0].revive();
                await proxy.untilActive('left');
                await load.done(CONNECTIONS);
            }
            for (const name of ['right', 'left', 'right', 'left']) {
                assert.equal((await proxy.move(name, 'a test')).status, 200);
                await proxy.untilActive(name);
                await proxy.metrics();
            }
        } finally {
            await load.stop(); // or it would go on behind a failure
        }
        t.diagnostic(load.summary());
        assert.deepEqual(load.failed, []);
        await Promise.all(feeds.map((wire) => wire.text(/\r\n0\r\n\r\n$/)));
        feeds.forEach((wire) => wire.destroy());
        await until('every client connection to be gone', async () => (await proxy.metric('davenport_client_connections_open')) === 0);
        assert.equal(await proxy.metric('davenport_client_requests_active'), 0);
    })(t);
    await Promise.all(regions.map((region) => region.close()));
});

test('a drain of four workers under load', async (t) => {
    const region = await ScriptedRegion.start();
    let open;
    const opened = new Promise((resolve) => {
        open = resolve;
    });
    region.on(/^GET \/db\//, [{ until: opened }, answer(200, { ok: true })]);
    await withProxy([region], quick, async (proxy) => {
        const wires = await Promise.all(Array.from({ length: CONNECTIONS }, () => Wire.connect(proxy.port)));
        wires.forEach((wire) => wire.send('GET /db/a HTTP/1.1\r\nHost: h\r\n\r\n'));
        await until('all to be under way', () => region.requests.length === CONNECTIONS);
        proxy.child.signal('SIGTERM');
        open();
        const answers = await Promise.all(wires.map((wire) => wire.response()));
        assert.ok(answers.every((got) => got.status === 200 && got.complete));
        await Promise.all(wires.map((wire) => wire.end()));
        await proxy.child.wait();
    })(t);
    await region.close();
});
