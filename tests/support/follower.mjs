// A client that follows _changes: it asks again behind the last token that it was given, whatever happens, and remembers every row
// that it was told, and how often it was told of each document.

import assert from 'node:assert/strict';
import http from 'node:http';
import { request } from './http.mjs';
import { pause, until } from './wait.mjs';

export class Follower {
    // kind: normal, longpoll, continuous or eventsource; since: a token.
    constructor(kind, base, since) {
        Object.assign(this, { kind, base, since, told: new Map(), errors: 0, leash: new AbortController() });
        this.rows = []; // {id, rev, seq}
        this.moves = []; // answers in another region than asked's, the token's: {fate, asked, row: the first one from there}
        this.done = this.run();
    }

    tell(row) {
        this.rows.push({ id: row.id, rev: row.changes[0].rev, seq: row.seq });
        this.told.set(row.id, (this.told.get(row.id) ?? 0) + 1);
    }

    // Its feed stays open.
    get stays() {
        return this.kind === 'continuous' || this.kind === 'eventsource';
    }

    get fates() {
        return this.moves.map((move) => move.fate);
    }

    url(query) {
        return `${this.base}/_changes?${query}&since=${encodeURIComponent(this.since)}`;
    }

    // What the proxy says of the token that it was asked with.
    fate(headers) {
        if (headers['davenport-sequence']) {
            this.moves.push({ fate: headers['davenport-sequence'], asked: this.token, row: this.rows.length });
        }
    }

    async whole(query) {
        const answer = await request(this.url(query), { signal: this.leash.signal });
        assert.equal(answer.status, 200);
        const { results, last_seq } = answer.json; // one that was cut throws
        this.fate(answer.headers);
        results.forEach((row) => this.tell(row));
        this.since = last_seq;
    }

    async normal() {
        await this.whole('include_docs=true');
        await pause(50);
    }

    longpoll() {
        return this.whole('feed=longpoll&heartbeat=1000');
    }

    // Whole lines of an answer that stays open, until it ends.
    stream(query, headers, line) {
        return new Promise((resolve, reject) => {
            const at = new URL(this.url(query));
            const auth = at.username ? `${at.username}:${at.password}` : undefined;
            const { signal } = this.leash;
            const req = http.get({ host: at.hostname, port: at.port, path: at.pathname + at.search, auth, headers, agent: false, signal }, (res) => {
                let rest = '';
                if (res.statusCode !== 200) {
                    reject(new Error(`status ${res.statusCode}`));
                }
                this.fate(res.headers);
                res.setEncoding('utf8');
                res.on('data', (text) => {
                    const lines = (rest + text).split('\n');
                    rest = lines.pop();
                    lines.forEach(line);
                });
                res.on('error', reject);
                res.on('end', resolve);
            });
            req.on('error', reject);
        });
    }

    continuous() {
        return this.stream('feed=continuous&heartbeat=1000', {}, (line) => {
            const row = line === '' ? {} : JSON.parse(line);
            if (row.id) {
                this.tell(row);
            }
            this.since = row.seq ?? row.last_seq ?? this.since;
        });
    }

    // As browsers do it: an event counts when it is whole, with the empty line behind it; where they were they say in a header when they
    // come back; the URL stays.
    eventsource() {
        const headers = this.event ? { 'last-event-id': this.event } : {};
        let event = {};
        return this.stream('feed=eventsource&heartbeat=1000', headers, (line) => {
            if (line.startsWith('data: {')) {
                event.row = JSON.parse(line.slice('data: '.length));
            } else if (line.startsWith('id: ')) {
                event.id = JSON.parse(line.slice('id: '.length));
            } else if (line === '') {
                if (event.row) {
                    this.tell(event.row);
                    this.event = event.id;
                }
                event = {};
            }
        });
    }

    async run() {
        while (!this.leash.signal.aborted) {
            try {
                await this[this.kind]();
            } catch {
                this.errors += 1;
                await pause(50);
            }
        }
    }

    stop() {
        this.leash.abort();
    }

    knows(names) {
        return until(`a ${this.kind} follower to know ${names.length} documents`, () => {
            const missing = names.filter((id) => !this.told.has(id));
            if (missing.length > 0) {
                throw new Error(`${missing.length} missing, for example ${missing[0]}; since ${this.token}`);
            }
            return true;
        });
    }

    // Where it is: the token that it would ask with.
    get token() {
        return this.event ?? this.since;
    }

    // The documents of rows that were told before as they are, in order.
    get repeats() {
        const known = new Set();
        return this.rows.filter(({ id, rev }) => known.has(`${id} ${rev}`) || !known.add(`${id} ${rev}`)).map(({ id }) => id);
    }

    again(names) {
        return names.filter((id) => this.told.get(id) > 1).length;
    }
}
