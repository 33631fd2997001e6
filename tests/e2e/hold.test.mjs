// No region is left for a while: the application sees a longer wait, not an error. How long a region takes to
// come back is the machine's matter, so requests are held for longer than any test lasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import nano from 'nano';
import { request } from '../support/http.mjs';
import { Loads } from '../support/load.mjs';
import { HASTE, withProxy } from '../support/proxy.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';

const suite = useRegions(2, { replicated: true });
const loads = new Loads(suite, nano, 'hold');
const PATIENT = { hold: { ms: 300_000 } };

async function untilHeld(proxy, n) {
    return until(`${n} requests to be held`, async () => (await proxy.status()).totals.held >= n);
}

async function finish(proxy, load, t) {
    await load.done(100);
    await load.stop();
    t.diagnostic(load.summary());
    assert.deepEqual(load.failed, []);
    const { totals } = await proxy.status();
    assert.equal(totals.held, 0);
    assert.equal(totals.hold_expired + totals.hold_refused + totals.no_region, 0);
    assert.ok(totals.hold_total > 0 && totals.hold_released > 0);
}

// The writes that the dead region may have carried out are for the other one alone, so that is the one that returns.
test(
    'both regions die under a load of reads and writes and one comes back: no request fails',
    withProxy(() => suite.regions, PATIENT, async (proxy, t) => {
        const [left, right] = suite.regions;
        const load = await loads.start(proxy, t);
        await right.kill();
        await left.kill();
        await untilHeld(proxy, 6);
        assert.match(proxy.cli('status').stdout, /Held: \d+ requests wait/);
        await right.revive();
        await proxy.untilActive('right');
        await finish(proxy, load, t);
        await left.revive();
    }),
);

test(
    'both die at once under a load of reads and the same one comes back: no request fails',
    withProxy(() => suite.regions, PATIENT, async (proxy, t) => {
        const load = await loads.start(proxy, t, { mix: ['get', 'find'] });
        await Promise.all(suite.regions.map((region) => region.kill()));
        await untilHeld(proxy, 6);
        await suite.regions[0].revive();
        await finish(proxy, load, t);
        await suite.regions[1].revive();
    }),
);

// How much slower is told, not asserted: that is the machine's matter.
test(
    'the active region freezes under load, timeouts as they come: requests move, and none fails',
    withProxy(() => suite.regions, { ...HASTE, ...PATIENT }, async (proxy, t) => {
        const [left] = suite.regions;
        const load = await loads.start(proxy, t, { clients: 12 });
        await load.done(150); // the region's own pace is known
        left.freeze();
        const frozen = Date.now();
        await proxy.untilActive('right');
        t.diagnostic(`left after ${Date.now() - frozen} ms`);
        await load.done(200, frozen);
        await load.stop();
        t.diagnostic(load.summary());
        assert.deepEqual(load.failed, []);
        left.thaw();
    }),
);

test(
    'who waited long enough is told, and the access log has how long that was',
    withProxy(() => suite.regions, { hold: { ms: 300 }, access_log: { path: '-', flush_ms: 50 } }, async (proxy) => {
        await Promise.all(suite.regions.map((region) => region.kill()));
        await until('no region', async () => (await proxy.active()) === null);
        const got = await request(`${loads.url(proxy)}/any`);
        assert.equal(got.status, 503);
        assert.equal(got.json.error, 'no_region_available');
        const line = await until('its line', () =>
            proxy.child.text().split('\n').filter((text) => text.startsWith('{"time"')).map((text) => JSON.parse(text)).at(-1));
        assert.ok(line.hold_ms >= 300, JSON.stringify(line));
        assert.equal(await proxy.metric('davenport_hold_expired_total'), 1);
        await Promise.all(suite.regions.map((region) => region.revive()));
    }),
);
