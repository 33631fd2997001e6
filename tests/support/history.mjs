// What a client did and what it was told: every write with its outcome, every row that a follower was told.
//
// Each write carries a mark, unlike any other's, in its document's body: so what lies in a region afterwards can
// be traced to the one operation that a client ordered. The checker (checker.mjs) compares the two.
//
// An operation's outcome:
//   stored    the client was told so, with id and revision: it must be there, for ever
//   refused   the client was told that it was not carried out (4xx): it must not be there
//   unknown   the client was told neither (5xx, a connection that broke): it may be there, once

let histories = 0;

export class History {
    // before: documents that were there already, which nobody is asked about.
    constructor(name, before = new Set()) {
        histories += 1;
        this.before = before;
        this.name = name;
        this.prefix = `${name}.${histories}`;
        this.ops = [];
        this.byMark = new Map();
        this.failedReads = [];
        this.reads = []; // answered: {began, ended, stale: it gave less than the client had been told}
    }

    // An operation that begins: kind (put, post, bulk, delete), the document, the revision that it replaces.
    begin(kind, { id = null, parent = null } = {}) {
        const op = { mark: `${this.prefix}.${this.ops.length}`, kind, id, parent, outcome: 'open', rev: null, doubts: 0, at: Date.now() };
        this.ops.push(op);
        this.byMark.set(op.mark, op);
        return op;
    }

    stored(op, { id, rev }) {
        Object.assign(op, { outcome: 'stored', id, rev });
    }

    // What an error means. status: of the answer; undefined where there was none.
    failed(op, status, why) {
        const refused = status >= 400 && status < 500;
        Object.assign(op, { outcome: refused ? 'refused' : 'unknown', status, why });
        op.doubts += refused ? 0 : 1;
    }

    // A read that began then (performance.now()) is answered now.
    read(began, stale) {
        this.reads.push({ began, ended: performance.now(), stale });
    }

    // The reads that began in one of these periods, [from, to], and were answered in it. One that began before its end and
    // was answered after it tells of what came next: a region that died with it, and another that answered.
    readsWithin(periods) {
        return this.reads.filter(({ began, ended }) => periods.some(([from, to]) => began >= from && ended <= to));
    }

    count(outcome) {
        return this.ops.filter((op) => op.outcome === outcome).length;
    }

    summary() {
        const settled = this.ops.filter((op) => op.settled).length;
        const stale = this.reads.filter((read) => read.stale).length;
        return (
            `${this.name}: ${this.count('stored')} stored (${settled} of them settled by looking), ${this.count('refused')} refused, ` +
            `${this.count('unknown')} unknown; ${this.failedReads.length} reads failed, ${stale} were stale`
        );
    }
}

// Rows of a _changes feed as a follower was told them.
export class Told {
    constructor(name) {
        this.name = name;
        this.revs = new Map(); // id -> the revisions that were told of it
        this.rows = 0;
        this.again = 0; // rows that were told before
        this.died = null; // a follower must not end by itself
    }

    row({ id, changes }) {
        this.rows += 1;
        const revs = this.revs.get(id) ?? new Set();
        this.revs.set(id, revs);
        for (const { rev } of changes) {
            this.again += revs.has(rev) ? 1 : 0;
            revs.add(rev);
        }
    }

    has(id, rev) {
        return this.revs.get(id)?.has(rev) ?? false;
    }

    summary() {
        return `${this.name}: ${this.rows} rows, ${this.again} of them told before${this.died ? `, died: ${this.died}` : ''}`;
    }
}
