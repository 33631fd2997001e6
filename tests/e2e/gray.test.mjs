// Regions that answer every probe and are of no use: what generic proxies never leave.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import nano from 'nano';
import { Gateway } from '../support/gateway.mjs';
import { Load, nanoClient, seed } from '../support/load.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, everywhere } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { pause } from '../support/wait.mjs';

const suite = useRegions(2, { replicated: true });
let known;
let loads = 0;

// The active region behind a gateway, a load on the proxy, and a pace to compare with.
async function behindGateway(proxy, gateway, t, body) {
    const url = (origin) => clientUrl(suite.regions[0], origin);
    known ??= await seed(`${url(proxy.origin)}/${suite.db}`, 40, (ids) => everywhere(suite.regions, suite.db, ids));
    loads += 1;
    const scope = nano(url(proxy.origin)).use(suite.db);
    const load = new Load(nanoClient(scope), { known, prefix: `gray${loads}`, clients: 12 });
    await load.done(150); // the region's baseline
    assert.equal(await proxy.active(), 'left');
    await body(load);
    await load.done(100);
    await load.stop();
    t.diagnostic(load.summary());
    assert.deepEqual(load.failed, []);
}

let gateway;
const regions = async () => {
    gateway = await Gateway.start(suite.regions[0]);
    return [gateway, suite.regions[1]];
};

test('a region that answers its probes and stalls on all real work is left, and no request fails', async (t) => {
    const both = await regions();
    try {
        await withProxy(() => both, {}, async (proxy) => {
            await behindGateway(proxy, gateway, t, async (load) => {
                const { late_ms } = await proxy.region('left');
                gateway.fault = 'stall';
                const since = Date.now();
                await proxy.untilActive('right');
                t.diagnostic(`left after ${Date.now() - since} ms, requests were late after ${late_ms} ms`);
                await load.done(100, since);
                const left = await proxy.region('left');
                assert.ok(left.late > 0);
                const move = proxy.journalLines().find((line) => line.event === 'failover');
                assert.match(move.reason, /got no answer/);
            });
        })(t);
    } finally {
        await gateway.close();
    }
});

test('a region that is 800 ms slower than it was is left, and held until it is believed', async (t) => {
    const both = await regions();
    try {
        await withProxy(() => both, {}, async (proxy) => {
            await behindGateway(proxy, gateway, t, async (load) => {
                gateway.fault = 800;
                const since = Date.now();
                await proxy.untilActive('right');
                t.diagnostic(`left after ${Date.now() - since} ms`);
                const left = await proxy.region('left');
                assert.equal(left.slow, true);
                assert.equal(left.health, 'up');
                const lines = proxy.journalLines();
                const slow = lines.find((line) => line.event === 'slow');
                assert.ok(slow.inputs.median_ms > slow.inputs.baseline_ms * 4, JSON.stringify(slow));
                const move = lines.find((line) => line.event === 'failover');
                assert.match(move.reason, /left is slow: .* first byte/);
                gateway.fault = null;
                await load.done(50);
                await pause(500); // probes pass, and change nothing
                assert.equal((await proxy.region('left')).slow, true);
                assert.equal(await proxy.active(), 'right');
            });
        })(t);
    } finally {
        await gateway.close();
    }
});
