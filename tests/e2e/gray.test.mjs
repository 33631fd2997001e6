// A region that answers every probe and is of no use: what generic proxies never leave. That one which only
// became slow is left too is held on virtual time (tests/core/test_pace.c, tests/control/test_governor.c): here
// the machine's own noise would decide.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import nano from 'nano';
import { Gateway } from '../support/gateway.mjs';
import { Load, nanoClient, seed } from '../support/load.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, everywhere } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';

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
    try {
        await load.done(150); // the region's baseline
        await proxy.untilActive('left');
        await body(load);
        await load.done(100);
    } finally {
        await load.stop();
    }
    t.diagnostic(load.summary());
    assert.deepEqual(load.failed, []);
}

let gateway;
const regions = async () => {
    gateway = await Gateway.start(suite.regions[0]);
    return [gateway, suite.regions[1]];
};

// What is late is the one thing that counts here, and the other region may be late too for a while: then it is waited for.
const late = { traffic: { late_ms: 3_000 }, hold: { ms: 300_000 } };

test('a region that answers its probes and stalls on all real work is left, and no request fails', async (t) => {
    const both = await regions();
    try {
        await withProxy(() => both, late, async (proxy) => {
            await behindGateway(proxy, gateway, t, async (load) => {
                const { late_ms } = await proxy.region('left');
                const { epoch } = await proxy.status();
                gateway.stalled = true;
                const since = Date.now();
                await proxy.untilActive('right');
                t.diagnostic(`left after ${Date.now() - since} ms, requests were late after ${late_ms} ms`);
                await load.done(100, since);
                const move = (await proxy.events()).find((line) => line.event === 'failover' && line.before === 'left' && line.epoch > epoch);
                assert.match(move.reason, /got no answer/);
                assert.ok((await proxy.region('left')).late > 0);
            });
        })(t);
    } finally {
        await gateway.close();
    }
});
