// One database of a CouchDB in memory: revision trees, shards with a sequence each, tokens in CouchDB's own format,
// and CouchDB's own revisions. Who serves it over HTTP is couch_region.mjs. No attachments.

import { randomBytes } from 'node:crypto';
import { crc32 } from './crc32.mjs';
import { decodeToken, encodeToken, revisionOf } from './couch_token.mjs';

const generation = (rev) => Number(rev.split('-')[0]);
const hash = (rev) => rev.slice(rev.indexOf('-') + 1);

export const CONFLICT = { error: 'conflict', reason: 'Document update conflict.' };
export const MISSING = { error: 'not_found', reason: 'missing' };
export const DELETED = { error: 'not_found', reason: 'deleted' };
export const MALFORMED = { error: 'bad_request', reason: "Malformed sequence supplied in 'since' parameter." };

// One document: rev -> {parent, deleted, body}; body null where only the revision is known.
class Tree {
    constructor() {
        this.revs = new Map();
    }

    get leaves() {
        const parents = new Set([...this.revs.values()].map((one) => one.parent));
        return [...this.revs.keys()].filter((rev) => !parents.has(rev)).sort((a, b) => this.order(b, a));
    }

    // Which of two branches wins: what is not deleted, the longer one, the greater hash.
    order(a, b) {
        const rank = (rev) => (this.revs.get(rev).deleted ? 0 : 1);
        return rank(a) - rank(b) || generation(a) - generation(b) || (hash(a) < hash(b) ? -1 : 1);
    }

    get winner() {
        return this.leaves[0];
    }

    history(rev) {
        const out = [];
        for (let at = rev; at; at = this.revs.get(at)?.parent) {
            out.push(hash(at));
        }
        return out;
    }
}

export class Database {
    constructor(name, { nodes, shards }) {
        Object.assign(this, { name, docs: new Map(), local: new Map(), security: {}, born: String(Math.floor(Date.now() / 1_000)) });
        this.width = 2 ** 32 / shards; // of a shard's range
        this.shards = Array.from({ length: shards }, (_, i) => ({
            range: [i * this.width, (i + 1) * this.width - 1],
            node: nodes[i % nodes.length],
            uuid: randomBytes(4).toString('hex').slice(0, 7),
            seq: 0,
            rows: new Map(), // id -> its last change
        }));
        this.clock = 0; // the order of changes over both shards
        this.watchers = new Set();
    }

    tree(id) {
        return this.docs.get(id);
    }

    changed(id) {
        const shard = this.shards[Math.floor(crc32(Buffer.from(id)) / this.width)];
        shard.seq += 1;
        this.clock += 1;
        shard.rows.set(id, { id, seq: shard.seq, clock: this.clock });
        this.watchers.forEach((wake) => wake());
    }

    // A client's write: {rev}, or why not.
    write(id, parent, deleted, body) {
        const tree = this.docs.get(id) ?? new Tree();
        let base = parent ?? null;
        if (tree.revs.size === 0) {
            if (deleted) {
                return MISSING;
            }
        } else if (base === null && tree.revs.get(tree.winner).deleted && !deleted) {
            base = tree.winner;
        } else if (base === null || !tree.leaves.includes(base) || (deleted && tree.revs.get(base).deleted)) {
            return deleted && tree.revs.get(tree.winner).deleted ? DELETED : CONFLICT;
        }
        const rev = revisionOf(deleted, base, body);
        if (base !== null && !tree.revs.has(base)) {
            tree.revs.set(base, { parent: null, deleted: false, body: null });
        }
        tree.revs.set(rev, { parent: base, deleted, body });
        this.docs.set(id, tree);
        this.changed(id);
        return { rev };
    }

    // A revision that was made elsewhere, with its history (newest first).
    graft(id, history, deleted, body) {
        const tree = this.docs.get(id) ?? new Tree();
        if (tree.revs.get(history[0])?.body) {
            return;
        }
        history.forEach((rev, i) => {
            const known = tree.revs.get(rev);
            const parent = known?.parent ?? history[i + 1] ?? null;
            tree.revs.set(rev, i === 0 ? { parent, deleted, body } : { deleted: false, body: null, ...known, parent });
        });
        this.docs.set(id, tree);
        this.changed(id);
    }

    show(id, rev, { revs = false, info = false, conflicts = false } = {}) {
        const tree = this.docs.get(id);
        const { deleted, body } = tree.revs.get(rev);
        const others = conflicts ? tree.leaves.filter((leaf) => leaf !== rev && !tree.revs.get(leaf).deleted) : [];
        return {
            _id: id,
            _rev: rev,
            ...(deleted && { _deleted: true }),
            ...body,
            ...(revs && { _revisions: { start: generation(rev), ids: tree.history(rev) } }),
            ...(info && {
                _revs_info: tree.history(rev).map((one, i) => {
                    const at = `${generation(rev) - i}-${one}`;
                    return { rev: at, status: tree.revs.get(at).body ? 'available' : 'missing' };
                }),
            }),
            ...(others.length > 0 && { _conflicts: others }),
        };
    }

    // Where a reader is: the sequence of each shard. null: no sequence at all.
    place(since) {
        if (since === undefined || since === '0' || since === '"0"') {
            return this.shards.map(() => 0);
        }
        if (since === 'now') {
            return this.shards.map((shard) => shard.seq);
        }
        const told = decodeToken(since);
        return (
            told &&
            this.shards.map(({ range, node, uuid }) => {
                const one = told.find((other) => other.range[0] === range[0] && other.range[1] === range[1]);
                // Another's uuid, or another's node: from the beginning, and not a word of it.
                return one && (one.uuid === uuid || (one.uuid === undefined && one.node === node)) ? one.seq : 0;
            })
        );
    }

    // A shard of which nothing was read, though it has something, is told without its uuid.
    token(place, { uuid = true } = {}) {
        const told = (shard, i) => uuid && (place[i] > 0 || shard.seq === 0);
        return encodeToken(
            this.shards.map((shard, i) => ({
                node: shard.node,
                range: shard.range,
                seq: place[i],
                uuid: told(shard, i) ? shard.uuid : undefined,
            })),
        );
    }

    get now() {
        return this.shards.map((shard) => shard.seq);
    }

    // Rows behind a place, in the order in which they came: {id, place: where a reader of it is}.
    rows(from, { descending = false } = {}) {
        const rows = this.shards.flatMap((shard, i) =>
            [...shard.rows.values()].filter((row) => descending || row.seq > from[i]).map((row) => ({ ...row, shard: i })),
        );
        rows.sort((a, b) => (descending ? b.clock - a.clock : a.clock - b.clock));
        const place = [...from];
        return rows.map((row) => {
            place[row.shard] = row.seq;
            return { id: row.id, place: [...place] };
        });
    }

    row({ id, place }, { style, docs, conflicts }) {
        const tree = this.docs.get(id);
        const revs = style === 'all_docs' ? tree.leaves : [tree.winner];
        return {
            seq: this.token(place),
            id,
            changes: revs.map((rev) => ({ rev })),
            ...(tree.revs.get(tree.winner).deleted && { deleted: true }),
            ...(docs && { doc: this.show(id, tree.winner, { conflicts }) }),
        };
    }

    get counts() {
        const gone = [...this.docs.values()].filter((tree) => tree.revs.get(tree.winner).deleted).length;
        return { doc_count: this.docs.size - gone, doc_del_count: gone };
    }

    // All that the other one has behind a place, as the replicator brings it. Gives {read, written}.
    pull(other, from) {
        const counts = { read: 0, written: 0 };
        for (const { id } of other.rows(from)) {
            const theirs = other.docs.get(id);
            for (const rev of theirs.leaves) {
                const { deleted, body } = theirs.revs.get(rev);
                counts.read += 1;
                if (!this.docs.get(id)?.revs.has(rev)) {
                    counts.written += 1;
                    this.graft(id, theirs.history(rev).map((one, i) => `${generation(rev) - i}-${one}`), deleted, body);
                }
            }
        }
        return counts;
    }
}
