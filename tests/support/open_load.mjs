// An open-loop load: so many requests a second, whatever becomes of those before; but no more at once than MOST, so that a machine
// that can't do as many is asked for less and not buried. 60 % GET, 25 % PUT with a revision, 5 % POST
// without an id, 10 % queries, as the field's comparisons have it. Every request is recorded as an application sees it.

import http from 'node:http';
import { request } from './http.mjs';
import { pause, until } from './wait.mjs';

const TURN = ['get', 'put', 'get', 'get', 'find', 'get', 'put', 'get', 'get', 'put', 'get', 'get', 'post', 'get', 'put', 'get', 'all', 'get', 'put', 'get'];
const MOST = 64;

export class OpenLoad {
    // url: of the database; known: ids to read; own: ids to write, known to every region.
    constructor(url, { known, own, rate = 100 }) {
        Object.assign(this, { url, known, rate });
        this.own = own.map((id) => ({ id, rev: null, busy: false }));
        this.agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
        this.results = [];
        this.under_way = new Set();
        this.stopping = false;
        this.loop = this.run();
    }

    ask(path, options = {}) {
        return request(`${this.url}${path}`, { agent: this.agent, ...options });
    }

    async run() {
        const began = performance.now();
        for (let due = 0, n = 0; !this.stopping; await pause(2)) {
            for (; due < ((performance.now() - began) * this.rate) / 1_000; due += 1) {
                if (this.under_way.size < MOST) {
                    const one = this.one(TURN[n % TURN.length], n);
                    n += 1;
                    this.under_way.add(one);
                    one.finally(() => this.under_way.delete(one));
                }
            }
        }
    }

    async one(op, n) {
        const result = { op, n, at: Date.now() };
        const began = performance.now();
        try {
            await this[op](result, n);
        } catch (error) {
            result.failed = true;
            result.error = `${error.code ?? ''} ${error.message}`;
        }
        result.ms = performance.now() - began;
        this.results.push(result);
    }

    judge(result, answer, good) {
        result.status = answer.status;
        if (!good.includes(answer.status)) {
            result.failed = true;
            result.error = answer.text.slice(0, 200);
        }
        return !result.failed;
    }

    async get(result, n) {
        const id = this.known[n % this.known.length];
        const answer = await this.ask(`/${id}`);
        if (this.judge(result, answer, [200]) && answer.json._id !== id) {
            result.failed = true;
            result.error = `another document: ${answer.text.slice(0, 200)}`;
        }
    }

    // 409 is a region's word on what it has: it lags, or the first sending came here by replication. The application reads again.
    async put(result, n) {
        const doc = this.own.find((one) => !one.busy) ?? this.own[0];
        this.own.push(...this.own.splice(this.own.indexOf(doc), 1));
        doc.busy = true;
        try {
            if (doc.rev === null) {
                const there = await this.ask(`/${doc.id}`);
                if (!this.judge(result, there, [200])) {
                    return;
                }
                doc.rev = there.json._rev;
            }
            const answer = await this.ask(`/${doc.id}`, { method: 'PUT', json: { _rev: doc.rev, n } });
            doc.rev = null;
            if (this.judge(result, answer, [201, 409]) && answer.status === 201) {
                doc.rev = answer.json.rev;
            }
        } finally {
            doc.busy = false;
        }
    }

    async post(result, n) {
        this.judge(result, await this.ask('', { method: 'POST', json: { by: 'open load', n } }), [201]);
        result.unsafe = true;
    }

    async find(result, n) {
        const id = this.known[n % this.known.length];
        const answer = await this.ask('/_find', { method: 'POST', json: { selector: { _id: id }, limit: 1 } });
        if (this.judge(result, answer, [200]) && answer.json.docs.length !== 1) {
            result.failed = true;
            result.error = 'no document found';
        }
    }

    async all(result, n) {
        const keys = [0, 1, 2].map((i) => this.known[(n + i) % this.known.length]);
        const answer = await this.ask('/_all_docs', { method: 'POST', json: { keys } });
        if (this.judge(result, answer, [200]) && answer.json.rows.length !== 3) {
            result.failed = true;
            result.error = 'rows are missing';
        }
    }

    // So many more answered well that began after now.
    done(count, since = Date.now()) {
        return until(`${count} requests to be answered well`, () => this.results.filter((one) => one.at >= since && !one.failed).length >= count);
    }

    async stop() {
        this.stopping = true;
        await this.loop;
        await Promise.all(this.under_way);
        this.agent.destroy();
    }

    // Those that could be repeated, and failed all the same.
    get failed() {
        return this.results.filter((one) => one.failed && one.op !== 'post');
    }

    // POSTs may end with "outcome unknown", and with nothing else.
    get posts() {
        return this.results.filter((one) => one.failed && one.op === 'post');
    }

    summary() {
        const all = this.results.map((one) => one.ms).sort((a, b) => a - b);
        const slow = this.results.filter((one) => one.ms > 2_000).length;
        const conflicts = this.results.filter((one) => one.status === 409).length;
        return (
            `${all.length} requests, ${this.failed.length} failed, ${this.posts.length} of unknown outcome, ${conflicts} conflicts, ` +
            `${slow} took more than 2 s, slowest ${Math.round(all.at(-1) ?? 0)} ms`
        );
    }
}
