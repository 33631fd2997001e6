// The watch over replication where there are three regions, and through reloads: what traffic returns to lacks nothing of what the
// region had that it comes from, whatever else is away, and whatever was configured meanwhile. Two workers.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { couch } from '../support/http.mjs';
import { merge, withProxy } from '../support/proxy.mjs';
import { createDatabase, replicate } from '../support/region.mjs';
import { until } from '../support/wait.mjs';
import { WriterLoad } from '../support/writer_load.mjs';

const IDS = Array.from({ length: 31 }, (_, i) => `own-${i}`);
const WATCH = { watch: 'on', interval_ms: 500, samples: 2 };
const base = {
    workers: 2,
    replication: WATCH,
    failback: { hold_down_ms: 500, ramp_ms: 0, pause_ms: 5_000 },
    hold: { ms: 60_000 },
};

let regions;
let db;
before(async () => {
    regions = await Promise.all(['left', 'middle', 'right'].map((name) => CouchRegion.start(name)));
    db = await createDatabase(regions, { replicated: true, name: 'watched' });
    await couch(`${regions[0].direct}/${db}/_bulk_docs`, { method: 'POST', json: { docs: IDS.map((_id) => ({ _id, n: 0 })) } });
});
beforeEach(() => Promise.all(regions.map((region) => region.revive())));
after(() => Promise.all(regions.map((region) => region.close())));

const proxied = (n, over, body) => withProxy(() => regions.slice(0, n), merge(base, over), body);

// What each of them holds of the documents.
const winners = ({ databases }) => JSON.stringify(IDS.map((id) => databases.get(db).docs.get(id)?.winner));
const same = (...some) => until('them to hold the same', () => some.every((one) => winners(one) === winners(some[0])));

// The ways of a database that are known to lack nothing, "from>to".
async function ways(proxy, database = db) {
    const { replication } = await proxy.status();
    return replication.ways.filter((way) => way.database === database && way.data === 'same').map(({ from, to }) => `${from}>${to}`).sort();
}

const pairs = (...some) => some.flatMap((from) => some.filter((to) => to !== from).map((to) => `${from.name}>${to.name}`)).sort();

const complete = (proxy, wanted, database) =>
    until(`${wanted} to be known`, async () => {
        const known = await ways(proxy, database);
        assert.deepEqual(known, wanted);
        return true;
    });

// It dies when what it was told last is elsewhere: what an outage takes with it is another matter.
async function lose(proxy, load, region, next, others) {
    await load.rest();
    await same(region, ...others);
    await region.kill();
    load.writing = true;
    await proxy.untilActive(next.name);
    await load.done(100);
}

// Since then nobody who wrote has seen that anything was away.
function unseen(load, since = 0) {
    for (const what of ['failed', 'conflict', 'stale']) {
        assert.equal(load.count(what, since), 0, `${what}: ${load.summary(since)}`);
    }
}

async function met(proxy, region) {
    const line = (await proxy.events()).findLast((one) => one.event === 'failback' && one.region === region.name);
    assert.equal(line.gate.find((one) => one.name === 'replication').state, 'met');
}

test(
    'of three regions two are lost, and traffic returns to one of them while the other is away',
    proxied(3, {}, async (proxy, t) => {
        const [left, middle, right] = regions;
        const load = new WriterLoad(`${proxy.origin}/${db}`, IDS);
        try {
            await load.done(100);
            await complete(proxy, pairs(left, middle, right));
            await lose(proxy, load, left, middle, [middle, right]);
            await lose(proxy, load, middle, right, [right]);
            await left.revive();
            const back = Date.now();
            await proxy.untilActive('left');
            await load.done(100);
            assert.equal((await proxy.region('middle')).health, 'down');
            await met(proxy, left);
            await middle.revive();
            await load.done(100);
            await load.rest();
            await complete(proxy, pairs(left, middle, right));
            await same(left, middle, right);
            const { replication } = await proxy.status();
            assert.ok(replication.handovers >= 1, JSON.stringify(replication));
            t.diagnostic(`handed over in ${replication.handover_ms} ms; since left answered: ${load.summary(back)}`);
        } finally {
            await load.stop();
        }
        unseen(load);
    }),
);

async function reload(proxy, over) {
    writeFileSync(proxy.configPath, JSON.stringify(merge(proxy.config, over)));
    const done = await proxy.order('reload');
    assert.equal(done.status, 200, done.text);
}

const entries = (...some) => some.map(({ name, origin }) => ({ name, url: origin }));

test(
    'it is begun, gets regions and loses them by reloads, also while a region waits for its return',
    proxied(2, { replication: { watch: 'off' } }, async (proxy, t) => {
        const [left, middle, right] = regions;
        const second = await createDatabase(regions, { replicated: true, name: 'second' });
        const load = new WriterLoad(`${proxy.origin}/${db}`, IDS);
        try {
            await load.done(100);
            const { replication } = await proxy.status();
            assert.deepEqual([replication.watched, replication.why_not, replication.ways], [false, 'replication.watch is off', []]);

            await reload(proxy, { replication: WATCH });
            await complete(proxy, pairs(left, middle));
            await reload(proxy, { replication: { ...WATCH, databases: second }, regions: entries(left, middle, right) });
            await complete(proxy, pairs(left, middle, right));
            await complete(proxy, pairs(left, middle, right), second);

            // The one in the middle of the list goes: the others have other numbers now.
            await reload(proxy, { replication: WATCH, regions: entries(left, right) });
            await complete(proxy, pairs(left, right));
            await lose(proxy, load, left, right, [right]);
            // What was written meanwhile has no way there.
            await middle.kill();
            right.jobs.delete(`${db}-right-to-left`);
            const gate = async () => (await proxy.region('left')).gate.find((one) => one.name === 'replication');
            await left.revive();
            const back = Date.now();
            const lacking = () =>
                until('the gate to say what is missing', async () => {
                    const { state, reason } = await gate();
                    return state === 'unmet' && /documents? (is|are) missing/.test(reason);
                });
            await lacking();
            await reload(proxy, { replication: { ...WATCH, samples: 4 }, regions: entries(left, right) });
            await lacking();
            assert.equal(await proxy.active(), 'right');
            await replicate(right, left, db);
            await proxy.untilActive('left');
            await load.done(100);
            await met(proxy, left);
            t.diagnostic(`since left answered: ${load.summary(back)}`);
        } finally {
            await load.stop();
        }
        unseen(load);
    }),
);
