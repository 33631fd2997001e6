// Writes whose region dies after it carried them out: the application never sees a conflict that the proxy made, no document
// comes twice, and what was answered as written is there. docs/http.md has the table.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CouchRegion } from '../support/couch_region.mjs';
import { DyingRegion } from '../support/dying_region.mjs';
import { couch, request } from '../support/http.mjs';
import { MiniCouch } from '../support/mini_couch.mjs';
import { merge, withProxy } from '../support/proxy.mjs';
import { createDatabase, dropDatabase, startRegions } from '../support/region.mjs';

const REAL = process.env.DAVENPORT_E2E_REGIONS !== undefined;
const real = REAL ? await startRegions(2) : [];
after(() => Promise.all(real.map((region) => region.close())));

// A region's data where it is real.
class RealCouch {
    constructor(region, db) {
        Object.assign(this, { region, db });
    }

    async handle({ method, target, headers, body }) {
        const url = `${this.region.direct}${target.replace(/^\/db/, `/${this.db}`)}`;
        const { host, connection, 'content-length': length, 'transfer-encoding': coding, ...rest } = headers;
        const answer = await request(url, { method, headers: rest, body: body.length > 0 ? body : undefined });
        const etag = answer.headers.etag && { ETag: answer.headers.etag };
        return { status: answer.status, headers: { ...etag }, body: answer.body };
    }

    async pull(other) {
        const url = (couchdb) => `${couchdb.region.direct}/${couchdb.db}`;
        await couch(`${this.region.direct}/_replicate`, { method: 'POST', json: { source: url(other), target: url(this) } });
    }
}

// Two regions that die as told, and how to make them equal.
async function twoRegions(t, over, body, options = {}) {
    const db = REAL ? await createDatabase(real) : null;
    const couches = [0, 1].map((n) => (REAL ? new RealCouch(real[n], db) : new MiniCouch()));
    const regions = await Promise.all(['left', 'right'].map((name, n) => DyingRegion.start(name, couches[n], options)));
    const sync = async () => {
        await couches[0].pull(couches[1]);
        await couches[1].pull(couches[0]);
    };
    // No death counts as a region's: what is tried here is single requests.
    const calm = { traffic: { failures: 1000, window_requests: 0 }, retry: { least: 100 } };
    try {
        await withProxy(regions, merge(calm, over), (proxy) => body({ proxy, regions, couches, sync }))(t);
    } finally {
        await Promise.all(regions.map((region) => region.close()));
        if (REAL) {
            await dropDatabase(real, db);
        }
    }
}

// Straight from a region: all leaves of a document.
async function leavesOf(couchdb, id) {
    const target = `/db/${encodeURIComponent(id)}?open_revs=all&revs=true`;
    const answer = await couchdb.handle({ method: 'GET', target, headers: { accept: 'application/json' }, body: Buffer.alloc(0) });
    return answer.status === 200 ? JSON.parse(answer.body).map((one) => one.ok) : [];
}

const JSON_TYPE = { 'content-type': 'application/json' };

// ---- one row of the table each ----

// What is asked, in a database that has /db/old with {n: 1}; `old` is its revision.
const WRITES = {
    'PUT of a new document': { ask: () => ['PUT', '/new', { n: 1 }], status: 201, id: 'new' },
    'PUT of a new version': { ask: (old) => ['PUT', `/old?rev=${old}`, { n: 2 }], status: 201, id: 'old' },
    'DELETE': { ask: (old) => ['DELETE', `/old?rev=${old}`], status: 200, id: 'old' },
    'POST of a document with an id': { ask: () => ['POST', '', { _id: 'new', n: 1 }], status: 201, id: 'new' },
    'POST of a document without one': { ask: () => ['POST', '', { n: 1 }], status: 201 },
    'PUT with an inline attachment': { ask: () => ['PUT', '/new', { _attachments: { t: { content_type: 'text/plain', data: 'aGVsbG8=' } } }], status: 201, id: 'new' },
    'PUT of an attachment': { ask: (old) => ['PUT', `/old/a?rev=${old}`, { bytes: 1 }], status: 201, id: 'old' },
    '_bulk_docs': { ask: (old) => ['POST', '/_bulk_docs', { docs: [{ _id: 'old', _rev: old, n: 2 }, { _id: 'new', n: 1 }, { n: 3 }] }], status: 201 },
};

for (const [name, write] of Object.entries(WRITES)) {
    for (const gzip of [false, true]) {
        test(`${name}${gzip ? ', compressed' : ''}: carried out and replicated before the region dies, told as the success it was`, (t) =>
            twoRegions(t, {}, async ({ proxy, regions, couches, sync }) => {
                const { rev: old } = await couch(`${proxy.origin}/db/old`, { method: 'PUT', json: { n: 1 } });
                await sync();
                regions[0].fate = (asked) => (asked.method === 'GET' ? 'pass' : sync);
                const [method, path, json] = write.ask(old);
                const body = json && Buffer.from(JSON.stringify(json));
                const headers = { ...(json && JSON_TYPE), ...(gzip && json && !/\/a\?/.test(path) && { 'content-encoding': 'gzip' }) };
                const got = await request(`${proxy.origin}/db${path}`, {
                    method,
                    headers,
                    body: headers['content-encoding'] ? gzipSync(body) : body,
                });
                assert.equal(got.status, write.status, got.text);
                assert.equal(got.headers['davenport-outcome'], 'settled');
                const rows = Array.isArray(got.json) ? got.json : [got.json];
                for (const row of rows) {
                    assert.equal(row.ok, true, got.text);
                    if (write.id) {
                        assert.equal(row.id, write.id);
                    }
                    await sync();
                    for (const couchdb of couches) {
                        const leaves = await leavesOf(couchdb, row.id);
                        assert.deepEqual(leaves.map((leaf) => leaf._rev), [row.rev]);
                    }
                }
                assert.equal(await proxy.metric('davenport_conflicts_settled_total'), 1);
                assert.equal(await proxy.metric('davenport_conflicts_stood_total'), 0);
            }));
    }
}

test('a conflict that somebody else made is told as it is', (t) =>
    twoRegions(t, {}, async ({ proxy, regions, couches, sync }) => {
        const { rev } = await couch(`${proxy.origin}/db/old`, { method: 'PUT', json: { n: 1 } });
        await sync();
        // Somebody writes in the second region while the first one dies with our request unheard.
        regions[0].fate = () => 'before';
        await couches[1].handle({ method: 'PUT', target: `/db/old?rev=${rev}`, headers: JSON_TYPE, body: Buffer.from('{"n":7}') });
        const got = await request(`${proxy.origin}/db/old?rev=${rev}`, { method: 'PUT', json: { n: 2 } });
        assert.deepEqual([got.status, got.json.error], [409, 'conflict']);
        assert.equal(got.headers['davenport-outcome'], undefined);
        assert.equal(await proxy.metric('davenport_conflicts_stood_total'), 1);
    }));

test('a region that lacks what a write builds on leaves open what became of it elsewhere', (t) =>
    twoRegions(t, {}, async ({ proxy, regions, couches, sync }) => {
        const first = await couch(`${proxy.origin}/db/old`, { method: 'PUT', json: { n: 1 } });
        await sync();
        // That is all that the second region has.
        const { rev } = await couch(`${proxy.origin}/db/old?rev=${first.rev}`, { method: 'PUT', json: { n: 2 } });
        regions[0].fate = () => 'after';
        const docs = [{ _id: 'old', _rev: rev, n: 3 }, { _id: 'new', n: 1 }];
        const got = await request(`${proxy.origin}/db/_bulk_docs`, { method: 'POST', json: { docs } });
        assert.equal(got.status, 201, got.text);
        assert.deepEqual(got.json.map((row) => row.error ?? row.ok), ['conflict', true]);
        assert.equal(got.headers['davenport-outcome'], 'unsettled');
        assert.equal(await proxy.metric('davenport_conflicts_unsettled_total'), 1);
        const [leaf] = await leavesOf(couches[0], 'old');
        assert.equal(leaf.n, 3, 'the first region had carried it out');
    }));

test('somebody builds on our write before it is asked for again: it is found all the same', (t) =>
    twoRegions(t, {}, async ({ proxy, regions, couches, sync }) => {
        regions[0].fate = (asked) => {
            if (asked.method === 'GET') {
                return 'pass';
            }
            return async () => {
                await sync();
                const [leaf] = await leavesOf(couches[1], 'new');
                await couches[1].handle({ method: 'PUT', target: `/db/new?rev=${leaf._rev}`, headers: JSON_TYPE, body: Buffer.from('{"n":7}') });
            };
        };
        const got = await request(`${proxy.origin}/db/new`, { method: 'PUT', json: { n: 1 } });
        assert.equal(got.status, 201, got.text);
        await sync();
        const [leaf] = await leavesOf(couches[0], 'new');
        assert.equal(leaf.n, 7);
        assert.equal(`1-${leaf._revisions.ids[1]}`, got.json.rev);
    }));

// On a connection that carried a request before, so that the second attempt goes to the same region.
test('a database that was made, or dropped, before its connection broke', async (t) => {
    const models = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    const regions = await Promise.all(
        models.map((model) => DyingRegion.start(model.name, new RealCouch(model, 'db'), { reset: true })),
    );
    const dieOnce = (method) => {
        regions[0].fate = (asked) => {
            const dies = asked.method === method;
            regions[0].fate = dies ? () => 'pass' : regions[0].fate;
            return dies ? 'after' : 'pass';
        };
    };
    const calm = { traffic: { failures: 1000, window_requests: 0 } };
    await withProxy(regions, calm, async (proxy) => {
        const ask = async (method, path) => {
            assert.equal((await request(`${proxy.origin}/_all_dbs`)).status, 200);
            dieOnce(method);
            const got = await request(`${proxy.origin}${path}`, { method });
            return [got.status, got.headers['davenport-outcome'], got.headers['davenport-attempts'], got.json.ok ?? got.json.error];
        };
        assert.deepEqual(await ask('PUT', '/db'), [201, 'settled', '2', true]);
        assert.ok(models.every((model) => model.databases.has('db')), 'every region has it');
        models[0].databases.get('db').born = '1700000000';
        assert.deepEqual(await ask('PUT', '/db'), [412, undefined, '2', 'file_exists']);
        models[0].databases.get('db').born = '0'; // as older ones tell it
        assert.deepEqual(await ask('PUT', '/db'), [412, 'unsettled', '2', 'file_exists']);
        assert.deepEqual(await ask('DELETE', '/db'), [404, 'unsettled', '2', 'not_found']);
        assert.ok(models.every((model) => !model.databases.has('db')), 'no region has it');
    })(t);
    await Promise.all([...regions, ...models].map((region) => region.close()));
});

test('nobody can tell: 503 that says so, and nothing is written a second time', (t) =>
    twoRegions(t, { replay: { mint_ids: 'no' }, hold: { ms: 0 } }, async ({ proxy, regions }) => {
        regions.forEach((region) => {
            region.fate = () => 'after';
        });
        const once = await request(`${proxy.origin}/db`, { method: 'POST', json: { n: 1 } });
        assert.deepEqual([once.status, once.json.error, once.headers['davenport-outcome']], [503, 'outcome_unknown', 'unknown']);
        assert.deepEqual([once.headers['davenport-region'], once.headers['davenport-attempts']], ['left', '1']);
        assert.equal(regions[0].seen.length + regions[1].seen.length, 1);
        const both = await request(`${proxy.origin}/db/a`, { method: 'PUT', json: { n: 1 } });
        assert.deepEqual([both.status, both.json.error, both.headers['davenport-outcome']], [503, 'outcome_unknown', 'unknown']);
    }));

// ---- a random course of deaths ----

// Marsaglia's xorshift: the same course for the same seed.
function chance(seed) {
    let s = seed >>> 0 || 1;
    return (n) => {
        s ^= s << 13;
        s ^= s >>> 17;
        s ^= s << 5;
        s >>>= 0;
        return s % n;
    };
}

const SEED = Number(process.env.DAVENPORT_E2E_SEED ?? 20261126);
const STEPS = Number(process.env.DAVENPORT_E2E_STEPS ?? (REAL ? 40 : 600));

// What one application knows of its documents: each id's last revision, whether it is there, and what it was told. It asks one
// thing at a time and nobody else writes there, so every conflict would be of the proxy's making.
class Application {
    constructor(name, ask, look, roll) {
        Object.assign(this, { name, ask, look, roll });
        this.known = new Map(); // id -> {rev, n, deleted}
        this.posted = []; // {n, told}
        this.unknown = new Map(); // id -> {before, after}: the outcome of its last write was not told
        this.n = 0;
        this.told = [];
    }

    next() {
        this.n += 1;
        return `${this.name}${this.n}`;
    }

    // The state of `id` if the write that was told as `got` succeeded.
    note(id, got, after) {
        this.told.push(got.status);
        if (got.status === 503 && got.json.error === 'outcome_unknown') {
            this.unknown.set(id, { before: this.known.get(id), after });
            this.known.delete(id);
            return;
        }
        assert.ok([200, 201].includes(got.status), `${this.name} ${id}: ${got.status} ${got.text}`);
        this.known.set(id, { ...after, rev: got.json.rev });
    }

    // Who was told "unknown" looks what is there: the state before or the one after, whole.
    async findOut(id) {
        const { before, after } = this.unknown.get(id);
        const leaves = await this.look(id);
        assert.ok(leaves.length <= 1, `${id}: ${JSON.stringify(leaves)}`);
        const is = leaves.length === 0 || leaves[0]._deleted ? undefined : leaves[0].n;
        assert.ok([before?.n, after.n].includes(is), `${id}: ${is}, neither ${before?.n} nor ${after.n}`);
        this.unknown.delete(id);
        if (leaves.length > 0) {
            this.known.set(id, { n: is, rev: leaves[0]._rev, ...(is === undefined && { deleted: true }) });
        }
    }

    async step() {
        for (const id of this.unknown.keys()) {
            await this.findOut(id);
        }
        const id = `${this.name}-${this.roll(4)}`;
        const kind = this.roll(10);
        if (kind < 2) {
            const n = this.next();
            const got = await this.ask('POST', '', { n });
            this.posted.push({ n, told: got.status });
            if (got.status !== 503) {
                this.note(got.json.id, got, { n });
            }
        } else if (kind < 4) {
            await this.bulk();
        } else {
            const is = this.known.get(id);
            if (kind < 6 && is && !is.deleted) {
                this.note(id, await this.ask('DELETE', `/${id}?rev=${is.rev}`), { deleted: true });
            } else {
                const n = this.next();
                const rev = is && !is.deleted ? { _rev: is.rev } : {};
                this.note(id, await this.ask('PUT', `/${id}`, { n, ...rev }), { n });
            }
        }
    }

    async bulk() {
        const docs = [];
        const notes = [];
        for (let i = 0; i < 3; i += 1) {
            const id = `${this.name}-bulk-${i}`;
            const is = this.known.get(id);
            const n = this.next();
            docs.push({ _id: id, n, ...(is && { _rev: is.rev }) });
            notes.push([id, { n }]);
        }
        const n = this.next();
        docs.push({ n });
        const got = await this.ask('POST', '/_bulk_docs', { docs });
        this.posted.push({ n, told: got.status });
        notes.forEach(([id, after], i) => {
            const row = got.status === 503 ? got : { status: got.json[i].ok ? got.status : 409, json: got.json[i], text: got.text };
            this.note(id, row, after);
        });
        if (got.status !== 503) {
            const last = got.json.at(-1);
            this.note(last.id, { status: last.ok ? 201 : 409, json: last, text: got.text }, { n });
        }
    }
}

for (const reset of [false, true]) {
    test(`a random course of deaths${reset ? ' by reset' : ''}: no duplicate, no conflict of our making, nothing acknowledged is missing`, (t) =>
        twoRegions(
            t,
            { hold: { ms: 0 } },
            async ({ proxy, regions, couches, sync }) => {
                const roll = chance(SEED + (reset ? 1 : 0));
                t.diagnostic(`seed ${SEED}, ${STEPS} steps`);
                const fates = (deaths) => (asked) => {
                    const dies = roll(100) < deaths;
                    // Questions of the proxy's own are answered more often than not: what it can't find out it must not guess.
                    if (!dies || (asked.method === 'GET' && roll(4) > 0) || /_bulk_get/.test(asked.target)) {
                        return 'pass';
                    }
                    return ['before', 'after', 'within', sync, sync][roll(5)];
                };
                [regions[0].fate, regions[1].fate] = [fates(50), fates(15)];
                const applications = ['a', 'b', 'c'].map((name) => {
                    const ask = (method, path, json) => request(`${proxy.origin}/db${path}`, { method, json, agent: false });
                    return new Application(name, ask, (id) => leavesOf(couches[0], id), roll);
                });
                for (let i = 0; i < STEPS; i += 1) {
                    const application = applications[i % applications.length];
                    try {
                        await application.step();
                    } catch (error) {
                        error.message = `step ${i}: ${error.message}`;
                        throw error;
                    }
                    // Replication is quick, or slow: each write meets its trace, or does not. But an application that goes on
                    // in the other region finds there what it was told of.
                    await sync();
                }
                await sync();
                await judge(t, proxy, applications, couches);
            },
            { reset },
        ));
}

async function judge(t, proxy, applications, couches) {
    const all = await allLeaves(couches[0], applications);
    for (const application of applications) {
        for (const [id, is] of application.known) {
            const leaves = all.get(id) ?? [];
            assert.equal(leaves.length, 1, `${id}: ${JSON.stringify(leaves)}`);
            assert.equal(leaves[0]._rev, is.rev, id);
            assert.equal(leaves[0]._deleted === true, is.deleted === true, id);
        }
        for (const id of application.unknown.keys()) {
            await application.findOut(id);
        }
        for (const { n, told } of application.posted) {
            const copies = [...all.values()].filter((leaves) => leaves.some((leaf) => leaf.n === n));
            assert.ok(copies.length <= 1, `${n} is there ${copies.length} times`);
            assert.ok(told === 503 || copies.length === 1, `${n} was acknowledged and is not there`);
        }
    }
    const told = applications.flatMap((application) => application.told);
    const settled = await proxy.metric('davenport_conflicts_settled_total');
    const unknown = told.filter((status) => status === 503).length;
    t.diagnostic(`${told.length} writes, ${settled} answers settled, ${unknown} of unknown outcome`);
    assert.ok(settled > STEPS / 100, 'the course met traces');
    assert.equal(await proxy.metric('davenport_conflicts_stood_total'), 0);
}

// id -> leaves, of all documents there are.
async function allLeaves(couchdb) {
    let ids;
    if (couchdb.docs) {
        ids = [...couchdb.docs.keys()];
    } else {
        const url = `${couchdb.region.direct}/${couchdb.db}`;
        const changes = await couch(`${url}/_changes?style=all_docs`);
        ids = changes.results.map((row) => row.id);
    }
    return new Map(await Promise.all(ids.map(async (id) => [id, await leavesOf(couchdb, id)])));
}
