// A region returns, and lacks what was written meanwhile: it gets the traffic back when it has caught up, not before, and nobody
// who wrote sees that it was away.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { couch, request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { carried, clientUrl, everywhere, withCredentials } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { pause } from '../support/wait.mjs';
import { WriterLoad } from '../support/writer_load.mjs';

const suite = useRegions(2, { replicated: true });

const DOCS = 60;
const OUTAGE_MS = 15_000;

const ids = Array.from({ length: DOCS }, (_, i) => `own-${i}`);

const gate = async (proxy) => (await proxy.status()).regions[0].gate.find((one) => one.name === 'replication');
const event = async (proxy, name) => (await proxy.events()).findLast((one) => one.event === name);

// Do both regions have the same of these documents?
async function same(regions, db) {
    const [left, right] = await Promise.all(
        regions.map((region) => couch(`${region.direct}/${db}/_all_docs`, { method: 'POST', json: { keys: ids } })),
    );
    return left.rows.every((row, i) => row.value?.rev === right.rows[i].value?.rev);
}

test(
    'after an outage of 15 s under load traffic returns to a region that has everything: no conflict, no stale read',
    withProxy(
        () => suite.regions,
        () => ({
            regions: withCredentials(suite.regions),
            failback: { mode: 'hold_down', hold_down_ms: 1_000, ramp_ms: 0, pause_ms: 5_000 },
            hold: { ms: 60_000 },
            replication: { watch: 'on', interval_ms: 1_000, samples: 2 },
        }),
        async (proxy, t) => {
            const { regions, db } = suite;
            const url = `${clientUrl(regions[0], proxy.origin)}/${db}`;
            await couch(`${url}/_bulk_docs`, { method: 'POST', json: { docs: ids.map((_id) => ({ _id, n: 0 })) } });
            await everywhere(regions, db, ids);
            // Less than such a region replicates on a machine that is busy with others.
            const load = new WriterLoad(url, ids, { rate: 30 });
            t.after(() => load.stop()); // however this ends
            await load.done(150);
            assert.equal(await proxy.active(), 'left');

            // What left was told last is in right before it dies: what an outage takes with it is another matter.
            await load.rest();
            await carried('both to have the same', db, () => same(regions, db));
            await regions[0].kill();
            load.writing = true;
            await proxy.untilActive('right');
            const died = Date.now();
            await load.done(100);
            await pause(Math.max(0, OUTAGE_MS - (Date.now() - died)));

            await regions[0].revive();
            const back = Date.now();
            // A replication whose peer was away waits for longer and longer before it looks again.
            await proxy.untilActive('left', { limit_ms: 400_000 });
            const returned = Date.now();
            await load.done(200);
            await load.stop();

            t.diagnostic(`returned ${returned - back} ms after it answered; since then: ${load.summary(back)}`);
            const line = await event(proxy, 'failback');
            assert.equal(line.gate.find((one) => one.name === 'replication').state, 'met');
            assert.equal(load.count('failed'), 0, load.summary());
            assert.equal(load.count('conflict', back), 0);
            assert.equal(load.count('stale', back), 0);
            await carried('both to have the same', db, () => same(regions, db));
        },
    ),
);
