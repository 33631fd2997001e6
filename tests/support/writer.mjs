// An application that writes: several loops over one client, each with documents of its own, every operation
// recorded in a history.
//
// client: {post(doc), put(id, doc), destroy(id, rev)} give {id, rev}; bulk(docs) gives rows {id, rev} or {error};
// get(id) gives the document. They throw errors with `status` where there was an answer.
//
// It behaves as a careful application does without a proxy: told nothing certain, it sends the same bytes again if
// that is safe (a document with its own id), and after a 409 it looks whether its own write is the one that is
// there, but only if it was in doubt before. A write without an id is not sent twice. What was refused is left alone.

import { pause } from './wait.mjs';

export const ALL_TURNS = ['put', 'update', 'post', 'read', 'bulk', 'look', 'update', 'put', 'remove', 'read'];
// Nothing is changed that is there.
export const NEW_ONLY = ['put', 'post', 'read', 'bulk', 'look', 'read'];
const TRIES = 40;

let writers = 0;

export class Writer {
    constructor(history, client, { loops = 3, think_ms = 10, turns = ALL_TURNS } = {}) {
        writers += 1;
        this.prefix = `${history.name}-${writers}`;
        Object.assign(this, { history, client, think_ms, turns });
        this.doing = []; // by loop
        this.stopping = false;
        this.steps = 0;
        this.pace = 12; // so many steps show that it gets on
        this.loops = Array.from({ length: loops }, (_, n) => this.loop(n));
    }

    async loop(n) {
        const mine = []; // {id, rev}: what this loop may change
        for (let i = 0; !this.stopping; i += 1) {
            const turn = this.turns[(i + n) % this.turns.length];
            this.doing[n] = `${turn} since ${new Date().toISOString()}`;
            await this[turn](mine, `${this.prefix}-${n}-${i}`);
            this.steps += 1;
            await pause(this.think_ms);
        }
    }

    tell() {
        return `${this.history.name} (${this.doing.join('; ')}; last failure: ${this.history.ops.findLast((op) => op.why)?.why})`;
    }

    // One operation until its outcome is known, if it can be sent again.
    async write(op, again, act) {
        for (let tries = 1; ; tries += 1) {
            try {
                this.history.stored(op, await act());
                return;
            } catch (error) {
                this.history.failed(op, error.status, error.message);
            }
            if (op.outcome === 'refused' && op.doubts > 0) {
                await this.settle(op);
            }
            if (op.outcome !== 'unknown' || !again || tries === TRIES || this.stopping) {
                return;
            }
            await pause(100);
        }
    }

    // It was in doubt, and now it is refused: perhaps because it was done the first time.
    async settle(op) {
        try {
            const there = await this.client.get(op.id);
            if (there.mark === op.mark) {
                this.history.stored(op, { id: op.id, rev: there._rev });
                op.settled = true;
                return;
            }
        } catch (error) {
            if (op.kind !== 'delete' || error.status !== 404) {
                op.outcome = 'unknown';
                return;
            }
        }
        op.outcome = 'unknown'; // somewhere it may still be
    }

    keep(mine, op) {
        if (op.outcome === 'stored') {
            mine.push({ id: op.id, rev: op.rev });
        }
    }

    async put(mine, id) {
        const op = this.history.begin('put', { id });
        await this.write(op, true, () => this.client.put(id, { mark: op.mark }));
        this.keep(mine, op);
    }

    async post(mine) {
        const op = this.history.begin('post');
        await this.write(op, false, () => this.client.post({ mark: op.mark }));
        this.keep(mine, op);
    }

    async bulk(mine, prefix) {
        const ids = [`${prefix}-a`, `${prefix}-b`, null];
        const ops = ids.map((id) => this.history.begin('bulk', { id }));
        try {
            const rows = await this.client.bulk(ops.map((op) => ({ ...(op.id && { _id: op.id }), mark: op.mark })));
            for (const row of rows) {
                // By id, for pouchdb-server does not keep the order.
                const op = ops.find((one) => one.id === row.id) ?? ops.at(-1);
                if (row.error) {
                    this.history.failed(op, row.error === 'conflict' ? 409 : 500, row.error);
                } else {
                    this.history.stored(op, row);
                }
            }
        } catch (error) {
            ops.forEach((op) => this.history.failed(op, error.status, error.message));
        }
        ops.forEach((op) => this.keep(mine, op));
    }

    async update(mine) {
        const doc = mine.shift();
        if (doc) {
            const op = this.history.begin('put', { id: doc.id, parent: doc.rev });
            await this.write(op, true, () => this.client.put(doc.id, { _rev: doc.rev, mark: op.mark }));
            this.keep(mine, op);
        }
    }

    async remove(mine) {
        const doc = mine.length > 4 && mine.shift();
        if (doc) {
            const op = this.history.begin('delete', { id: doc.id, parent: doc.rev });
            await this.write(op, true, () => this.client.destroy(doc.id, doc.rev));
        }
    }

    read(mine) {
        const doc = mine.at(-1);
        return doc && this.get(doc.id, doc.rev);
    }

    // A document that was there before, and is left alone: such reads are what a region on trial is given.
    look() {
        const [id] = this.history.before;
        return id && this.get(id, null);
    }

    async get(id, rev) {
        const began = performance.now();
        try {
            const there = await this.client.get(id);
            this.history.read(began, rev !== null && there._rev !== rev);
        } catch (error) {
            if (error.status === 404) {
                this.history.read(began, true);
            } else {
                this.history.failedReads.push(`${id}: ${error.status ?? ''} ${error.message}`);
            }
        }
    }

    async stop() {
        this.stopping = true;
        await Promise.all(this.loops);
    }
}
