// A CouchDB in memory, as far as writes, conflicts and what stands behind them go: revision trees, deterministic
// revisions, open_revs, _bulk_docs, _bulk_get, attachments as stubs, replication by hand. What it answers follows what a real
// CouchDB 3.4.3 was recorded to answer (03-documents, 04-bulk, 10-attachments); replay.test.mjs runs against a real one, too,
// where there is one.

import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';

const md5 = (text) => createHash('md5').update(text).digest('hex');
const generation = (rev) => Number(rev.split('-')[0]);
const hash = (rev) => rev.slice(rev.indexOf('-') + 1);

const CONFLICT = { error: 'conflict', reason: 'Document update conflict.' };
const MISSING = { error: 'not_found', reason: 'missing' };
const DELETED = { error: 'not_found', reason: 'deleted' };

// One document: all of its revisions, rev -> {parent, deleted, body, attachments}.
class Tree {
    constructor() {
        this.revs = new Map();
    }

    get leaves() {
        const parents = new Set([...this.revs.values()].map((one) => one.parent));
        return [...this.revs.keys()].filter((rev) => !parents.has(rev));
    }

    get winner() {
        const rank = (rev) => [this.revs.get(rev).deleted ? 0 : 1, generation(rev), hash(rev)];
        return this.leaves.sort((a, b) => {
            const [x, y] = [rank(a), rank(b)];
            return x[0] - y[0] || x[1] - y[1] || (x[2] < y[2] ? -1 : 1);
        }).at(-1);
    }

    history(rev) {
        const out = [];
        for (let at = rev; at; at = this.revs.get(at)?.parent) {
            out.push(hash(at));
        }
        return out;
    }

    show(id, rev, { revs = false, data = false } = {}) {
        const one = this.revs.get(rev);
        const attachments = Object.fromEntries(
            Object.entries(one.attachments).map(([name, a]) => [
                name,
                { content_type: a.type, revpos: a.revpos, ...(data ? { data: a.bytes.toString('base64') } : { length: a.bytes.length, stub: true }) },
            ]),
        );
        return {
            _id: id,
            _rev: rev,
            ...(one.deleted && { _deleted: true }),
            ...one.body,
            ...(revs && { _revisions: { start: generation(rev), ids: this.history(rev) } }),
            ...(Object.keys(attachments).length > 0 && { _attachments: attachments }),
        };
    }
}

export class MiniCouch {
    constructor() {
        this.docs = new Map();
        this.minted = 0;
    }

    // {rev} or an error. change(old attachments, revpos) gives the new ones.
    write(id, parent, { deleted = false, body = {}, change = () => ({}) }) {
        const tree = this.docs.get(id) ?? new Tree();
        let base = parent || null;
        if (tree.revs.size > 0) {
            const tip = tree.winner;
            if (!base && tree.revs.get(tip).deleted && !deleted) {
                base = tip;
            } else if (!base || !tree.leaves.includes(base) || tree.revs.get(base).deleted) {
                return deleted && tree.revs.get(tip).deleted ? DELETED : CONFLICT;
            }
        } else if (deleted) {
            return MISSING;
        } else if (base) {
            return CONFLICT;
        }
        const gen = base ? generation(base) + 1 : 1;
        const attachments = change(tree.revs.get(base)?.attachments ?? {}, gen);
        const rev = `${gen}-${md5(JSON.stringify([deleted, base, body, attachments]))}`;
        tree.revs.set(rev, { parent: base, deleted, body, attachments });
        this.docs.set(id, tree);
        return { rev };
    }

    // A document as it was sent, underscored members and all.
    put(id, doc, rev) {
        const body = Object.fromEntries(Object.entries(doc).filter(([name]) => !name.startsWith('_')));
        const change = (old, revpos) =>
            Object.fromEntries(
                Object.entries(doc._attachments ?? {}).map(([name, a]) => [
                    name,
                    a.stub ? old[name] : { type: a.content_type ?? 'application/octet-stream', bytes: Buffer.from(a.data, 'base64'), revpos },
                ]),
            );
        return this.write(id, rev ?? doc._rev, { deleted: doc._deleted === true, body, change });
    }

    // All that the other one has.
    pull(other) {
        for (const [id, theirs] of other.docs) {
            const mine = this.docs.get(id) ?? new Tree();
            theirs.revs.forEach((one, rev) => mine.revs.has(rev) || mine.revs.set(rev, one));
            this.docs.set(id, mine);
        }
    }

    // request: {method, target, headers, body}. Gives {status, body: Buffer, headers}.
    handle(request) {
        const url = new URL(request.target, 'http://x');
        const [db, ...rest] = url.pathname.split('/').slice(1).map(decodeURIComponent);
        const json = (status, value, headers = {}) => ({ status, headers, body: Buffer.from(`${JSON.stringify(value)}\n`) });
        const fail = (error) => json({ conflict: 409, not_found: 404 }[error.error], error);
        const plain = () => (request.headers['content-encoding'] === 'gzip' ? gunzipSync(request.body) : request.body);
        const read = () => JSON.parse(plain().toString());
        const at = (name) => url.searchParams.get(name);
        const rev = at('rev') ?? request.headers['if-match']?.replaceAll('"', '');
        const done = (id, status, written) =>
            written.error ? fail(written) : json(status, { ok: true, id, rev: written.rev }, { ETag: `"${written.rev}"` });

        if (request.method === 'POST' && rest.length === 0) {
            const doc = read();
            const id = doc._id ?? md5(`${db} ${(this.minted += 1)} ${Math.random()}`);
            return done(id, 201, this.put(id, doc));
        }
        if (rest[0] === '_bulk_docs') {
            return json(
                201,
                read().docs.map((doc) => {
                    const id = doc._id ?? md5(`${db} ${(this.minted += 1)} ${Math.random()}`);
                    const written = this.put(id, doc);
                    return written.error ? { id, ...CONFLICT } : { ok: true, id, rev: written.rev };
                }),
            );
        }
        if (rest[0] === '_bulk_get') {
            const of = (id) => {
                const tree = this.docs.get(id);
                return tree ? tree.leaves.map((leaf) => ({ ok: tree.show(id, leaf, { revs: true }) })) : [{ error: { id, ...MISSING } }];
            };
            return json(200, { results: read().docs.map(({ id }) => ({ id, docs: of(id) })) });
        }
        const [id, attachment] = rest;
        const tree = this.docs.get(id);
        if (request.method === 'PUT' && attachment) {
            const type = request.headers['content-type'] ?? 'application/octet-stream';
            const change = (old, revpos) => ({ ...old, [attachment]: { type, bytes: request.body, revpos } });
            return done(id, 201, this.write(id, rev, { body: tree?.revs.get(rev)?.body, change }));
        }
        if (request.method === 'PUT') {
            const doc = read();
            return done(id, doc._deleted ? 200 : 201, this.put(id, doc, rev));
        }
        if (request.method === 'DELETE') {
            return done(id, 200, this.write(id, rev, { deleted: true }));
        }
        if (!tree) {
            return fail(MISSING);
        }
        if (at('open_revs') === 'all') {
            return json(200, tree.leaves.map((leaf) => ({ ok: tree.show(id, leaf, { revs: at('revs') === 'true' }) })));
        }
        const shown = rev ?? tree.winner;
        const one = tree.revs.get(shown);
        if (!one || (!rev && one.deleted)) {
            return fail(one ? DELETED : MISSING);
        }
        if (attachment) {
            return { status: 200, headers: {}, body: one.attachments[attachment]?.bytes ?? Buffer.alloc(0) };
        }
        return json(200, tree.show(id, shown, { data: at('attachments') === 'true' }), { ETag: `"${shown}"` });
    }
}
