// Documents of the proxy's own that replication has to carry: how long they take is told, that they do not come is told, a region
// that is down is not blamed, and no traffic returns before one has come through, whatever the replicator says of itself.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { couch } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { createDatabase, ids } from '../support/region.mjs';
import { until } from '../support/wait.mjs';

const model = { regions: [], orders: null, canaries: null };
const id = (region) => `davenport-canary-test-from-${region.name}`;

before(async () => {
    model.regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    model.orders = await createDatabase(model.regions, { replicated: true, name: 'orders' });
    model.canaries = await createDatabase(model.regions, { replicated: true, name: 'canaries' });
});
after(() => Promise.all(model.regions.map((region) => region.close())));

const generation = async (region, of) => Number((await couch(`${region.direct}/${model.canaries}/${id(of)}`))._rev.split('-')[0]);

// Of the way on which a canary comes to this region.
async function canary(proxy, to) {
    const { ways } = (await proxy.status()).replication;
    return ways.find((way) => way.to === to && way.canary).canary;
}

const told = async (proxy, event, region) => (await proxy.events()).filter((line) => line.event === event && line.region === region);
const gateOf = (some) => some.find((one) => one.name === 'replication');
const gate = async (proxy) => gateOf((await proxy.status()).regions[0].gate);

test(
    'canaries go to and fro, and a region gets its traffic back when they do so again',
    withProxy(
        () => model.regions,
        {
            probe: { canary_name: 'test' },
            failback: { mode: 'hold_down', hold_down_ms: 500, ramp_ms: 0 },
            get replication() {
                return {
                    watch: 'on',
                    databases: model.orders,
                    interval_ms: 300,
                    samples: 2,
                    canary_database: model.canaries,
                    canary_interval_ms: 200,
                    canary_max_ms: 20_000, // longer than a machine is busy with others
                };
            },
        },
        async (proxy, t) => {
            const [left, right] = model.regions;
            const marks = await ids(left, model.canaries);
            for (const to of ['left', 'right']) {
                await until(`a canary in ${to}`, async () => (await canary(proxy, to)).took_ms !== null);
            }
            t.diagnostic(`they took ${(await canary(proxy, 'left')).took_ms} and ${(await canary(proxy, 'right')).took_ms} ms`);
            await until('others', async () => (await generation(left, left)) > 3 && (await generation(right, right)) > 3);
            const own = [...(await ids(left, model.canaries))].filter((doc) => !marks.has(doc) || doc.startsWith('davenport'));
            assert.deepEqual(own.sort(), [id(left), id(right)]); // one a region, however often it was written
            assert.match(await proxy.metrics(), /davenport_replication_canary_seconds\{database="canaries_[^"]*",from="left",to="right"\} \d/);

            // A replication that says that it runs.
            left.stalled = true;
            const [overdue] = await until('it to be told', async () => {
                const lines = await told(proxy, 'canary_overdue', 'right');
                return lines.length > 0 && lines;
            });
            assert.equal(overdue.from, 'left');
            assert.equal((await canary(proxy, 'right')).overdue, true);
            assert.equal((await canary(proxy, 'left')).overdue, false);
            assert.equal(await proxy.metric('davenport_replication_canary_overdue'), 1);
            left.stalled = false;
            await until('its end', async () => (await told(proxy, 'canary_over', 'right')).length === 1);
            assert.equal((await told(proxy, 'canary_overdue', 'right')).length, 1);

            // Who is down is not waited for.
            await left.kill();
            await proxy.untilActive('right');
            const before_ = await generation(right, right);
            await until('many canaries', async () => (await generation(right, right)) > before_ + 12);
            assert.deepEqual(await told(proxy, 'canary_overdue', 'left'), []);

            // It comes back, has all orders, and the replication to it lies.
            right.stalled = true;
            await left.revive();
            await until('the gate to be shut for its sake', async () => {
                const one = await gate(proxy);
                return one.state === 'unmet' && one.reason.includes(`${model.canaries} to left`);
            });
            await until('it to be told', async () => (await told(proxy, 'canary_overdue', 'left')).length === 1);
            assert.equal(await proxy.active(), 'right');
            right.stalled = false;
            await proxy.untilActive('left');
            assert.equal(gateOf((await told(proxy, 'failback', 'left')).at(-1).gate).state, 'met');
        },
    ),
);
