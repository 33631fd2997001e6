// The only writer of its documents, at a steady rate: it knows what it wrote last, so it knows an answer that is stale and a conflict
// that nobody but the regions between them can have made. Open loop: so many requests a second, whatever becomes of those before.

import http from 'node:http';
import { request } from './http.mjs';
import { pause, until } from './wait.mjs';

const generation = (rev) => Number.parseInt(rev, 10);

export class WriterLoad {
    // url: of the database; ids: the documents, which are there in every region. writes: of ten requests.
    constructor(url, ids, { rate = 100, writes = 4 } = {}) {
        Object.assign(this, { url, rate, writes });
        this.docs = ids.map((id) => ({ id, rev: null, n: 0, busy: false }));
        this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
        this.results = [];
        this.under_way = new Set();
        this.turn = 0;
        this.writing = true;
        this.stopping = false;
        this.loop = this.run();
    }

    ask(id, options = {}) {
        return request(`${this.url}/${id}`, { agent: this.agent, ...options });
    }

    async run() {
        const began = performance.now();
        for (let n = 0; !this.stopping; ) {
            for (const due = ((performance.now() - began) * this.rate) / 1_000; n < due && !this.stopping; n += 1) {
                const doc = this.idle();
                if (doc) {
                    const one = this.one(doc, this.writing && n % 10 < this.writes);
                    this.under_way.add(one);
                    one.finally(() => this.under_way.delete(one));
                }
            }
            await pause(2);
        }
    }

    // The next one that nothing is asked about: so what is known of it is what an answer must be at least.
    idle() {
        for (let i = 0; i < this.docs.length; i += 1) {
            this.turn = (this.turn + 1) % this.docs.length;
            if (!this.docs[this.turn].busy) {
                return this.docs[this.turn];
            }
        }
        return null;
    }

    async one(doc, write) {
        const result = { op: write ? 'put' : 'get', id: doc.id, at: Date.now() };
        const began = performance.now();
        doc.busy = true;
        try {
            await (write && doc.rev ? this.put(doc, result) : this.get(doc, result));
        } catch (error) {
            result.failed = `${error.code ?? ''} ${error.message}`;
        }
        doc.busy = false;
        result.ms = performance.now() - began;
        this.results.push(result);
    }

    async put(doc, result) {
        const answer = await this.ask(doc.id, { method: 'PUT', json: { _rev: doc.rev, n: doc.n + 1 } });
        result.status = answer.status;
        if (answer.status === 201) {
            doc.rev = answer.json.rev;
            doc.n += 1;
        } else if (answer.status === 409) {
            result.conflict = true;
            doc.rev = null; // read again, as an application does
        } else {
            result.failed = answer.text.slice(0, 200);
        }
    }

    async get(doc, result) {
        const answer = await this.ask(doc.id);
        result.status = answer.status;
        if (answer.status === 200) {
            const is = answer.json._rev;
            result.stale = doc.rev !== null && (generation(is) < generation(doc.rev) || (answer.json.n ?? 0) < doc.n);
            if (!result.stale) {
                doc.rev = is;
                doc.n = answer.json.n ?? 0;
            }
        } else {
            result.failed = answer.text.slice(0, 200);
        }
    }

    // So many answered well that began after now.
    done(count, since = Date.now()) {
        return until(`${count} requests to be answered well`, () => {
            if (this.results.filter((one) => one.at >= since && !one.failed).length < count) {
                throw new Error(this.summary(since));
            }
            return true;
        });
    }

    // No write is under way, and none begins until writing is set again.
    async rest() {
        this.writing = false;
        await Promise.all(this.under_way);
    }

    async stop() {
        this.stopping = true;
        await this.loop;
        await Promise.all(this.under_way);
        this.agent.destroy();
    }

    count(what, since = 0) {
        return this.results.filter((one) => one[what] && one.at >= since).length;
    }

    summary(since = 0) {
        const some = this.results.filter((one) => one.at >= since);
        const slowest = some.reduce((most, one) => Math.max(most, one.ms), 0);
        return (
            `${some.length} requests, ${some.filter((one) => one.op === 'put').length} of them writes: ${this.count('failed', since)} failed, ` +
            `${this.count('conflict', since)} conflicts, ${this.count('stale', since)} stale reads, slowest ${Math.round(slowest)} ms`
        );
    }
}
