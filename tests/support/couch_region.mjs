// A region that is a CouchDB in memory (couch_database.mjs), for what pouchdb-server can't do: CouchDB's tokens and what
// it makes of foreign ones, `pending`, four feeds, gzipped requests, checkpoints, replication jobs, and the ways in which
// its feeds break. couch_region.test.mjs holds it to what a real CouchDB 3.4.3 was recorded to answer.
//
// As other regions (region.mjs) it can be killed, frozen, thawed and revived; what was stored is still there then, and
// what came while it was frozen is done when it thaws, as with a real one. No attachments, views or queries.
//
// Replication is a document in _replicator, as ever, between regions of this process.

import http from 'node:http';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { CONFLICT, Database, DELETED, MISSING } from './couch_database.mjs';
import { serveChanges } from './couch_feed.mjs';
import { pickPort } from './sockets.mjs';
import { atExit } from './wait.mjs';

const NO_DATABASE = { error: 'not_found', reason: 'Database does not exist.' };
const STATUS = { conflict: 409, not_found: 404, bad_request: 400, method_not_allowed: 405, bad_content_type: 415, file_exists: 412 };
const LOCKED = { error: 'forbidden', reason: 'Account is temporarily locked due to multiple authentication failures' };
// Cloudant's, for whoever asks for more than was paid for in this second.
const TOO_MANY = { error: 'too_many_requests', reason: "You've exceeded your rate limit allowance. Please try again later." };
const NO_SHARDS = { error: 'internal_server_error', reason: 'No DB shards could be opened.' };
const REPLICATION_MS = 40;

const md5 = (text) => createHash('md5').update(text).digest('hex');
const json = (status, value, headers = {}) => ({ status, value, headers });
const fail = (error, headers) => json(STATUS[error.error], error, headers);
const generation = (rev) => Number(rev.split('-')[0]);

// The revisions of a document that was made elsewhere, newest first.
function historyOf({ _rev, _revisions }) {
    const { start, ids } = _revisions ?? { start: generation(_rev), ids: [_rev.split('-')[1]] };
    return ids.map((one, i) => `${start - i}-${one}`);
}

const plain = (doc) => Object.fromEntries(Object.entries(doc).filter(([name]) => !name.startsWith('_')));

const regions = new Map(); // by origin, for replication

export class CouchRegion {
    // nodes: names of Erlang nodes; regions whose nodes are called alike understand each other's tokens without a uuid.
    // shards: of each database, a power of two, laid on the nodes in turn. users: {name: password}.
    // upNeedsLogin: as with Cloudant, _up answers 401 to who is nobody.
    static async start(name, { nodes = [`couch_${name}@127.0.0.1`], shards = 2, users = {}, upNeedsLogin = false } = {}) {
        const region = new CouchRegion(name, { layout: { nodes, shards }, users, upNeedsLogin });
        region.port = await pickPort();
        region.origin = `http://127.0.0.1:${region.port}`;
        region.direct = region.origin;
        regions.set(region.origin, region);
        await region.revive();
        return region;
    }

    constructor(name, { layout, users, upNeedsLogin }) {
        Object.assign(this, { name, layout, users, upNeedsLogin, kind: 'couch-model', auth: '', probePath: '/_up' });
        Object.assign(this, { server: null, frozen: null, mode: null, throttled: 0, came: 0 });
        this.stalled = false; // its replications say that they run, and do not
        this.databases = new Map();
        this.jobs = new Map();
        this.failures = new Map(); // "address user" -> wrong passwords
        this.minted = 0;
        this.sockets = new Set();
        this.timer = setInterval(() => this.replicateAll(), REPLICATION_MS);
        this.timer.unref();
        atExit(() => this.sockets.forEach((socket) => socket.destroy()));
    }

    async revive() {
        this.thaw();
        if (this.server) {
            return;
        }
        const server = http.createServer({ keepAliveTimeout: 300_000 }, (req, res) => this.serve(req, res));
        server.on('connection', (socket) => {
            this.sockets.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => this.sockets.delete(socket));
        });
        await new Promise((resolve, reject) => {
            server.once('error', reject);
            server.listen(this.port, '127.0.0.1', resolve);
        });
        this.server = server;
    }

    async kill() {
        const server = this.server;
        this.server = null;
        const closed = server && new Promise((resolve) => server.close(resolve));
        this.sockets.forEach((socket) => socket.destroy());
        await closed;
    }

    freeze() {
        this.frozen ??= Promise.withResolvers?.() ?? deferred();
    }

    thaw() {
        this.frozen?.resolve();
        this.frozen = null;
    }

    async close() {
        clearInterval(this.timer);
        regions.delete(this.origin);
        this.thaw();
        await this.kill();
    }

    // Maintenance: null, "maintenance_mode" or "nolb". Open feeds are told in CouchDB's own way.
    maintain(mode) {
        this.mode = mode;
        for (const db of this.databases.values()) {
            db.watchers.forEach((wake) => wake(mode));
        }
    }

    // As Cloudant: so many requests to come are told 429.
    throttle(requests) {
        this.throttled = requests;
    }

    get alive() {
        return this.server !== null && !this.frozen;
    }

    async serve(req, res) {
        const parts = [];
        try {
            for await (const part of req) {
                parts.push(part);
            }
        } catch {
            return; // it went away
        }
        this.came += 1;
        await this.frozen?.promise;
        const raw = Buffer.concat(parts);
        let answer;
        try {
            const body = req.headers['content-encoding'] === 'gzip' ? unzip(raw) : raw;
            answer = this.answer(req, body, res);
        } catch (error) {
            answer = json(400, { error: 'bad_request', reason: String(error.message) });
        }
        if (answer) {
            const text = `${JSON.stringify(answer.value)}\n`;
            res.writeHead(answer.status, {
                'Cache-Control': 'must-revalidate',
                'Content-Type': 'application/json',
                Server: 'CouchDB/3.4.3 (Erlang OTP/25)',
                'Content-Length': Buffer.byteLength(text),
                ...answer.headers,
            });
            res.end(req.method === 'HEAD' ? undefined : text);
        }
    }

    // Who asks, or why not. Five wrong passwords of one user from one address, and it is locked.
    login(req) {
        const [, basic] = /^Basic (.*)$/.exec(req.headers.authorization ?? '') ?? [];
        if (basic === undefined) {
            return null;
        }
        const [user, password] = Buffer.from(basic, 'base64').toString().split(/:(.*)/s);
        const address = (req.headers['x-forwarded-for'] ?? req.socket.remoteAddress).split(',').at(-1).trim();
        const key = `${address} ${user}`;
        if ((this.failures.get(key) ?? 0) >= 5) {
            return json(403, LOCKED);
        }
        if (user in this.users && this.users[user] !== password) {
            this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
            return json(401, { error: 'unauthorized', reason: 'Name or password is incorrect.' });
        }
        return null;
    }

    // The answer {status, value, headers}; nothing where a feed answers by itself.
    answer(req, body, res) {
        const url = new URL(req.url, 'http://x');
        const [db, ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
        const refused = this.login(req);
        if (refused) {
            return refused;
        }
        if (this.upNeedsLogin && db === '_up' && !req.headers.authorization) {
            return json(401, { error: 'unauthorized', reason: 'You are not authorized to access this endpoint.' });
        }
        if (this.throttled > 0 && db !== '_up') {
            this.throttled -= 1;
            return json(429, TOO_MANY);
        }
        const ask = { req, res, url, rest, method: req.method, at: (name) => url.searchParams.get(name) ?? undefined };
        ask.read = () => JSON.parse(body.length > 0 ? body.toString() : '{}');
        if (db === '' || (db.startsWith('_') && !['_users', '_replicator'].includes(db))) {
            return this.serverWide(db, ask);
        }
        if (rest.filter(Boolean).length === 0 && ask.method !== 'POST') {
            return this.database(db, ask);
        }
        if (this.mode === 'maintenance_mode') {
            return json(500, NO_SHARDS);
        }
        if (db === '_replicator') {
            return this.replicator(ask);
        }
        const found = this.databases.get(db);
        if (!found) {
            return fail(NO_DATABASE, ask.method === 'GET' ? {} : { Connection: 'close' });
        }
        const [first, second] = rest;
        if (ask.method === 'POST' && (first === undefined || first === '')) {
            const doc = ask.read();
            return this.stored(found, doc._id ?? this.mint(), doc, ask);
        }
        if (first === '_local' || first.startsWith('_local/')) {
            return this.localDocument(found, second ?? first.slice('_local/'.length), ask);
        }
        const special = first.startsWith('_') && first !== '_design' ? SPECIAL[first] : undefined;
        if (special) {
            return special.call(this, found, ask);
        }
        return this.document(found, first === '_design' ? rest.join('/') : first, ask);
    }

    serverWide(path, { req, method }) {
        if (path === '_up') {
            return this.mode ? json(404, { status: this.mode }) : json(200, { status: 'ok', seeds: {} });
        }
        if (path === '_session' && method === 'GET') {
            return json(200, { ok: true, userCtx: { name: null, roles: [] }, info: { authentication_handlers: ['cookie', 'default'] } });
        }
        const [, job] = /^\/_scheduler\/docs\/_replicator(?:\/([^?]*))?/.exec(req.url) ?? [null, null];
        if (job === undefined) {
            const docs = [...this.jobs.values()].map((one) => one.status());
            return json(200, { total_rows: docs.length, offset: 0, docs });
        }
        if (job !== null) {
            const found = this.jobs.get(decodeURIComponent(job));
            return found ? json(200, found.status()) : fail(MISSING);
        }
        if (path === '_all_dbs') {
            return json(200, [...this.databases.keys(), '_replicator'].sort());
        }
        return path === '' ? json(200, { couchdb: 'Welcome', version: '3.4.3', vendor: { name: 'davenport tests' } }) : fail(MISSING);
    }

    database(name, { method, req }) {
        const db = this.databases.get(name);
        if (method === 'PUT') {
            if (db) {
                return fail({ error: 'file_exists', reason: 'The database could not be created, the file already exists.' });
            }
            this.databases.set(name, new Database(name, this.layout));
            return json(201, { ok: true }, { Location: `http://${req.headers.host}/${encodeURIComponent(name)}` });
        }
        if (!db) {
            return fail(NO_DATABASE);
        }
        if (this.mode === 'maintenance_mode') {
            return json(500, NO_SHARDS);
        }
        if (method === 'DELETE') {
            this.databases.delete(name);
            db.watchers.forEach((wake) => wake('deleted'));
            return json(200, { ok: true });
        }
        const bytes = db.docs.size * 100;
        return json(200, {
            instance_start_time: db.born,
            db_name: name,
            purge_seq: db.token(db.place('0'), { uuid: false }),
            update_seq: db.token(db.now),
            sizes: { file: bytes, external: bytes, active: bytes },
            props: {},
            ...db.counts,
            disk_format_version: 8,
            compact_running: false,
            cluster: { q: this.layout.shards, n: 1, w: 1, r: 1 },
        });
    }

    mint() {
        this.minted += 1;
        return md5(`${this.origin} ${this.minted}`);
    }

    stored(db, id, doc, { req, at }) {
        const rev = at('rev') ?? req.headers['if-match']?.replaceAll('"', '') ?? doc._rev;
        if (at('new_edits') === 'false') {
            db.graft(id, historyOf(doc), doc._deleted === true, plain(doc));
            return json(201, { ok: true, id, rev });
        }
        const written = db.write(id, rev, doc._deleted === true, plain(doc));
        if (written.error) {
            return fail(written);
        }
        const path = id.startsWith('_design/') ? id : encodeURIComponent(id);
        const Location = `http://${req.headers.host}/${encodeURIComponent(db.name)}/${path}`;
        return json(201, { ok: true, id, rev: written.rev }, { ETag: `"${written.rev}"`, Location });
    }

    document(db, id, ask) {
        const { method, at, req } = ask;
        if (method === 'PUT') {
            return this.stored(db, id, ask.read(), ask);
        }
        if (method === 'DELETE') {
            const written = db.write(id, at('rev') ?? req.headers['if-match']?.replaceAll('"', ''), true, {});
            return written.error ? fail(written) : json(200, { ok: true, id, rev: written.rev }, { ETag: `"${written.rev}"` });
        }
        const tree = db.tree(id);
        if (!tree) {
            return fail(MISSING);
        }
        const options = { revs: at('revs') === 'true', info: at('revs_info') === 'true', conflicts: at('conflicts') === 'true' };
        if (at('open_revs') === 'all') {
            return json(200, tree.leaves.reverse().map((leaf) => ({ ok: db.show(id, leaf, options) })));
        }
        const rev = at('rev') ?? tree.winner;
        const one = tree.revs.get(rev);
        if (!one?.body || (!at('rev') && one.deleted)) {
            return fail(one?.deleted ? DELETED : MISSING);
        }
        return json(200, db.show(id, rev, options), { ETag: `"${rev}"` });
    }

    // No conflict check: any or no revision will do.
    localDocument(db, name, ask) {
        const id = `_local/${name}`;
        const old = db.local.get(id);
        if (ask.method === 'PUT') {
            const doc = ask.read();
            const rev = `0-${Number((doc._rev ?? '0-0').split('-')[1]) + 1 || 1}`;
            db.local.set(id, { ...plain(doc), rev });
            return json(201, { ok: true, id, rev }, { Location: `http://${ask.req.headers.host}/${db.name}/_local%2F${name}` });
        }
        if (!old) {
            return fail(MISSING);
        }
        if (ask.method === 'DELETE') {
            db.local.delete(id);
            return json(200, { ok: true, id, rev: '0-0' });
        }
        const { rev, ...body } = old;
        return json(200, { _id: id, _rev: rev, ...body });
    }

    replicator(ask) {
        const id = ask.rest[0];
        const old = this.jobs.get(id);
        if (ask.method === 'PUT') {
            const doc = ask.read();
            if (old) {
                return fail(CONFLICT);
            }
            this.jobs.set(id, new Job(this, id, doc));
            return json(201, { ok: true, id, rev: this.jobs.get(id).rev });
        }
        if (!old) {
            return fail(MISSING);
        }
        if (ask.method === 'DELETE') {
            this.jobs.delete(id);
            return json(200, { ok: true, id, rev: old.rev });
        }
        return json(200, { _id: id, _rev: old.rev, ...old.doc });
    }

    replicateAll() {
        if (this.alive && !this.stalled) {
            this.jobs.forEach((job) => job.step());
        }
    }
}

function unzip(raw) {
    try {
        return gunzipSync(raw);
    } catch {
        throw new Error('Request body is not properly gzipped.');
    }
}

function deferred() {
    const out = {};
    out.promise = new Promise((resolve) => {
        out.resolve = resolve;
    });
    return out;
}

// Of a source or target: a URL, or {url, auth}.
const addressOf = (end) => end.url ?? end;

// A continuous replication, run by the region that has its document. Its checkpoint is kept in both databases.
class Job {
    constructor(region, id, doc) {
        // idle: all that was there when it last looked has been carried over.
        Object.assign(this, { region, doc_id: id, doc, idle: false, failed: false, rev: `1-${md5(JSON.stringify(doc))}` });
        this.id = md5(`${addressOf(doc.source)} ${addressOf(doc.target)}`);
        this.info = { docs_read: 0, docs_written: 0, changes_pending: null, doc_write_failures: 0, checkpointed_source_seq: 0 };
    }

    end(address) {
        const url = new URL(addressOf(address));
        const region = regions.get(url.origin);
        return region?.alive ? region.databases.get(url.pathname.split('/')[1]) : undefined;
    }

    step() {
        const [source, target] = [this.end(this.doc.source), this.end(this.doc.target)];
        if (!source || !target || this.region.mode === 'maintenance_mode') {
            this.failed = true;
            this.idle = false;
            return;
        }
        this.failed = false;
        const name = `_local/${this.id}`;
        const [mine, theirs] = [source.local.get(name)?.source_last_seq, target.local.get(name)?.source_last_seq];
        const from = source.place(mine && mine === theirs ? mine : '0');
        const now = source.now;
        this.idle = now.every((seq, i) => seq === from[i]);
        if (this.idle) {
            return;
        }
        const { read, written } = target.pull(source, from);
        this.info.docs_read += read;
        this.info.docs_written += written;
        this.info.checkpointed_source_seq = source.token(now);
        for (const db of [target, source]) {
            const rev = `0-${Number(db.local.get(name)?.rev.split('-')[1] ?? 0) + 1}`;
            const seq = source.token(now);
            const history = [{ session_id: this.rev, recorded_seq: seq, end_last_seq: seq, doc_write_failures: 0 }];
            db.local.set(name, { session_id: this.rev, source_last_seq: seq, replication_id_version: 4, history, rev });
        }
    }

    status() {
        const { doc_id, doc, id } = this;
        const slash = (address) => `${addressOf(address).replace(/\/$/, '')}/`;
        return {
            database: '_replicator',
            doc_id,
            id: `${id}+continuous`,
            node: this.region.layout.nodes[0],
            source: slash(doc.source),
            target: slash(doc.target),
            state: this.failed ? 'crashing' : 'running',
            info: this.failed ? { error: 'db_not_found' } : this.info,
            error_count: this.failed ? 1 : 0,
        };
    }
}

// _something behind a database.
const SPECIAL = {
    _changes(db, ask) {
        return serveChanges(this, db, ask);
    },
    _bulk_docs(db, ask) {
        const { docs, new_edits: edits = true } = ask.read();
        if (!edits) {
            docs.forEach((doc) => db.graft(doc._id, historyOf(doc), doc._deleted === true, plain(doc)));
            return json(201, []);
        }
        const one = (doc) => {
            const id = doc._id ?? this.mint();
            const written = db.write(id, doc._rev, doc._deleted === true, plain(doc));
            return written.error ? { id, ...CONFLICT } : { ok: true, id, rev: written.rev };
        };
        return json(201, docs.map(one));
    },
    _bulk_get(db, ask) {
        const revs = ask.at('revs') === 'true';
        const error = (id, rev) => ({ error: { rev, reason: 'missing', id, error: 'not_found' } });
        const of = ({ id, rev }) => {
            const tree = db.tree(id);
            const wanted = tree ? (rev ? [rev] : tree.leaves) : [];
            const docs = wanted.map((leaf) => (tree.revs.get(leaf)?.body ? { ok: db.show(id, leaf, { revs }) } : error(id, leaf)));
            return { id, docs: docs.length > 0 ? docs : [error(id, rev ?? 'undefined')] };
        };
        return json(200, { results: ask.read().docs.map(of) });
    },
    _revs_diff(db, ask) {
        const out = {};
        for (const [id, revs] of Object.entries(ask.read())) {
            const missing = revs.filter((rev) => !db.tree(id)?.revs.has(rev));
            if (missing.length > 0) {
                const ancestors = (db.tree(id)?.leaves ?? []).filter((leaf) => missing.some((rev) => generation(leaf) < generation(rev)));
                out[id] = { missing, ...(ancestors.length > 0 && { possible_ancestors: ancestors }) };
            }
        }
        return json(200, out);
    },
    _all_docs(db, ask) {
        const all = [...db.docs.keys()].filter((id) => !db.tree(id).revs.get(db.tree(id).winner).deleted).sort();
        const keys = ask.method === 'POST' ? ask.read().keys : undefined;
        const row = (id) => {
            if (!all.includes(id)) {
                return { key: id, error: 'not_found' };
            }
            const rev = db.tree(id).winner;
            return { id, key: id, value: { rev }, ...(ask.at('include_docs') === 'true' && { doc: db.show(id, rev) }) };
        };
        const rows = (keys ?? all.slice(0, Number(ask.at('limit') ?? Infinity))).map(row);
        const seq = ask.at('update_seq') === 'true' && { update_seq: db.token(db.now, { uuid: false }) };
        return json(200, { total_rows: all.length, offset: 0, ...seq, rows });
    },
    _ensure_full_commit: (db) => json(201, { ok: true, instance_start_time: db.born }),
    _security(db, ask) {
        if (ask.method === 'PUT') {
            db.security = ask.read();
            return json(200, { ok: true });
        }
        return json(200, db.security);
    },
    _local_docs(db) {
        const rows = [...db.local].map(([id, { rev }]) => ({ id, key: id, value: { rev } }));
        return json(200, { total_rows: null, offset: null, rows });
    },
};

