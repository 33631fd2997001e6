// Real clients at work through the proxy while its regions die, freeze, return and are switched, several times; then
// a checker compares what the regions hold with what the clients were told (support/checker.mjs).
//
// All of them are at work at once, each on a database of its own, so that the time of the failures is paid once.
// Then a test for each says what became of its writes. The test files say in front of which regions.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chaos } from '../support/chaos.mjs';
import { contents, converge, judge, winner } from '../support/checker.mjs';
import { History } from '../support/history.mjs';
import { couch } from '../support/http.mjs';
import { Proxy } from '../support/proxy.mjs';
import { clientUrl, createDatabase, dropDatabase, everywhere, ids, replicate, withCredentials } from '../support/region.mjs';
import { scratch, until } from '../support/wait.mjs';
import { NEW_ONLY, Writer } from '../support/writer.mjs';
import { branchesOf, followParty, Keeper, nanoParty, PouchParty, sdkParty } from './parties.mjs';

// A region that freezes is found out by two probes in a row: not so soon that a machine that is busy with others passes for one.
const OVER = {
    failback: { hold_down_ms: 500, ramp_ms: 0 },
    timeouts: { answer_ms: 15_000, drain_ms: 2_000 },
    probe: { timeout_ms: 5_000 },
    hold: { ms: 60_000 },
};

// Where replication can be seen, a region that returned waits until it has what was written meanwhile.
const watched = (all) => ({
    regions: withCredentials(all),
    replication: { watch: 'on', interval_ms: 1_000, samples: 2 },
});

let regions;
let proxy;
let chaos;
let whole; // whether the regions can do all that CouchDB can
let work; // of a Writer
const parties = {};
const at = (db) => `${clientUrl(regions[0], proxy.origin)}/${db}`;

// A party with its own database: who works there, and who follows.
async function enter(name, make) {
    const db = await createDatabase(regions, { replicated: true, name });
    const history = new History(name, await ids(regions[0], db));
    const party = { db, history, workers: [], followers: [], close: [], more: [] };
    await make(party, at(db));
    parties[name] = party;
}

async function enterAll() {
    await enter('nano', (party, url) => {
        const client = nanoParty(url);
        party.followers.push(client.follow());
        party.workers.push(new Writer(party.history, client, work));
    });
    await enter('follow', (party, url) => {
        party.followers.push(followParty(url));
        party.workers.push(new Writer(party.history, nanoParty(url), work));
    });
    await enter('pouch', (party, url) => {
        party.pouch = new PouchParty(url, 'here');
        party.followers.push(party.pouch.follow());
        // Its own writes here, and those of another application there.
        party.workers.push(new Writer(party.history, party.pouch, work), new Writer(party.history, nanoParty(url), { ...work, loops: 1 }));
        party.close.push(() => party.pouch.stop());
    });
    await enter('sdk', (party, url) => {
        const client = sdkParty(url, { gzip: whole });
        party.followers.push(client.follow());
        party.workers.push(new Writer(party.history, client, work));
    });
    await enter('backup', async (party) => {
        await fill(party.db);
        for (let i = 0; i < (whole ? 5 : 0); i += 1) {
            const db = await createDatabase(regions, { name: 'restored' });
            await replicate(regions[0], regions[1], db);
            await replicate(regions[1], regions[0], db);
            party.more.push(db);
        }
        // It logs in by `_session`, and a region's cookie is worth nothing in another: so these are open to all.
        await Promise.all([party.db, ...party.more].flatMap((db) => regions.map((region) => open(region, db))));
        const plain = (db) => `${proxy.origin}/${db}`;
        party.keeper = new Keeper(plain(party.db), scratch('backups'), party.more.map(plain), whole ? {} : { mode: 'shallow', think_ms: 200 });
        party.workers.push(party.keeper);
    });
}

const open = (region, db) =>
    couch(`${region.direct}/${db}/_security`, { method: 'PUT', json: { admins: {}, members: { names: [], roles: [] } } });

// Documents to back up, in every region; where replication carries such, some with two branches, some deleted.
async function fill(db) {
    const rev = (n, i) => `${n}-${String(i).padStart(32, '0')}`;
    const docs = Array.from({ length: 200 }, (_, i) => ({ _id: `doc-${i}`, _rev: rev(1, i), text: 'x'.repeat(200 + i) }));
    const branches = docs.slice(0, 20).map((doc, i) => ({ _id: doc._id, _rev: rev(1, 1_000 + i), branch: true }));
    const deleted = docs.slice(20, 30).map((doc, i) => ({
        _id: doc._id,
        _rev: rev(2, i),
        _revisions: { start: 2, ids: [rev(2, i).slice(2), doc._rev.slice(2)] },
        _deleted: true,
    }));
    const all = whole ? [...docs, ...branches, ...deleted] : docs;
    await couch(`${regions[0].direct}/${db}/_bulk_docs`, { method: 'POST', json: { new_edits: false, docs: all } });
    // A pouchdb-server whose replication is begun anew while it works stands still.
    await (whole ? converge(regions, db) : everywhere(regions, db, docs.map(({ _id }) => _id)));
}

async function atWork() {
    const workers = Object.values(parties).flatMap((party) => party.workers);
    const busy = async () => {
        const begun = workers.map((worker) => worker.steps);
        await until('all to get on', () => {
            const behind = workers.filter((worker, i) => worker.steps < begun[i] + worker.pace);
            if (behind.length > 0) {
                throw new Error(`stuck: ${behind.map((worker) => worker.tell()).join(', ')}`);
            }
            return true;
        });
    };
    chaos = new Chaos(proxy, regions, busy, { stays: whole });
    await chaos.act('at first', async () => {});
    await chaos.lose(regions[0], 'kill', 'revive');
    await chaos.lose(regions[0], 'freeze', 'thaw');
    await chaos.move(regions[1]);
    await chaos.lose(regions[1], 'kill', 'revive');
    await chaos.loseStandby(regions[1]);
    await Promise.all(workers.map((worker) => worker.stop()));
}

async function verdict(name, t) {
    const party = parties[name];
    const got = await judge(party.history, regions, party.db, { followers: party.followers });
    t.diagnostic(`${party.history.summary()}; ${got.documents} documents`);
    party.followers.forEach((told) => t.diagnostic(told.summary()));
    assert.deepEqual(got.findings.slice(0, 20), [], `${got.findings.length} findings`);
    assert.ok(party.history.count('stored') > 0);
    return party;
}

// Where replication is watched, traffic returns to a region that lacks nothing: nobody reads less than he was told.
function nothingLacking(history) {
    if (whole) {
        const reads = history.readsWithin(chaos.returns);
        assert.ok(reads.length > 0, 'nobody read in a region that had just returned');
        assert.deepEqual(reads.filter((read) => read.stale), [], 'reads in a region that had just returned');
    }
}

const branches = (all) => [...all].flatMap(([id, leaves]) => leaves.map((leaf) => `${id} ${leaf.rev}`)).sort();
// What a shallow backup has.
const winners = (all) =>
    [...all]
        .map(([id, leaves]) => [id, winner(leaves)])
        .filter(([, leaf]) => !leaf.deleted)
        .map(([id, leaf]) => `${id} ${leaf.rev}`)
        .sort();

// Register the tests. start: gives two regions; capable: they can do all that CouchDB can, and quickly.
export function partiesAtWork({ start, capable }) {
    whole = capable;
    work = whole ? {} : { loops: 1, think_ms: 50, turns: NEW_ONLY };

    before(async () => {
        regions = await start();
        proxy = await Proxy.start(regions, { ...OVER, ...(whole && watched(regions)) });
        await enterAll();
        try {
            await atWork();
        } catch (error) {
            error.message += `\nits status: ${JSON.stringify(await proxy.status())}`;
            throw error;
        }
    });

    after(async () => {
        for (const party of Object.values(parties)) {
            await Promise.all(party.workers.map((worker) => worker.stop()));
            party.followers.forEach((told) => told.stop());
            await Promise.all(party.close.map((close) => close()));
        }
        await proxy?.stop();
        await Promise.all((regions ?? []).map((region) => region.revive()));
        for (const db of Object.values(parties).flatMap((party) => [party.db, ...party.more])) {
            await dropDatabase(regions, db);
        }
        await Promise.all((regions ?? []).map((region) => region.close()));
    });

    test('nano, and its ChangesReader', async (t) => {
        t.diagnostic(chaos.said.join(', '));
        const { history } = await verdict('nano', t);
        assert.deepEqual(history.failedReads, []);
        nothingLacking(history);
    });

    test('cloudant-follow', async (t) => {
        await verdict('follow', t);
    });

    test('PouchDB, replicating both ways', async (t) => {
        const { pouch, db } = parties.pouch;
        // What was written here last is on its way.
        const arrived = async () => {
            const all = await Promise.all(regions.map((region) => pouch.lacking(`${region.direct}/${db}`)));
            if (all.every((lacking) => lacking.length > 0)) {
                throw new Error(`missing: ${JSON.stringify(all.map((lacking) => [lacking.length, lacking[0]]))}`);
            }
            return true;
        };
        await until('what PouchDB has to be in a region', arrived, { every_ms: 500, limit_ms: 300_000 });
        await verdict('pouch', t);
        t.diagnostic(`PouchDB: ${pouch.resets} GETs met a reset connection and went again`);
        assert.deepEqual(pouch.errors, []);
        assert.deepEqual(pouch.denied, []);
    });

    test('the IBM SDK, and its ChangesFollower', async (t) => {
        const { history } = await verdict('sdk', t);
        assert.deepEqual(history.failedReads, []);
        nothingLacking(history);
    });

    test(`couchbackup: every backup is whole${whole ? ', and every restore too' : ''}`, async (t) => {
        const { db, keeper, more } = parties.backup;
        t.diagnostic(keeper.tell());
        const all = await contents(regions[0], db);
        const wanted = whole ? branches(all) : winners(all);
        assert.ok(keeper.files.length > 2);
        for (const file of keeper.files) {
            assert.deepEqual(branchesOf(file), wanted, file);
        }
        assert.ok(!whole || keeper.restored.length > 1);
        for (const { url } of keeper.restored) {
            const target = more.find((name) => url.endsWith(name));
            await converge(regions, target);
            assert.deepEqual(branches(await contents(regions[1], target)), wanted, target);
        }
        assert.deepEqual(keeper.failures, []);
    });
}
