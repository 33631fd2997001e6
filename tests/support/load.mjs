// A steady mixed load on one database, every request recorded: what an application would have seen.

import http from 'node:http';
import { request } from './http.mjs';
import { clientUrl, everywhere } from './region.mjs';
import { pause, until } from './wait.mjs';

// What a load does, over HTTP as it is. Each operation gives {status, json} or throws.
export function httpClient(url, { sockets = 32 } = {}) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: sockets });
    const ask = async (path, options = {}) => {
        const answer = await request(`${url}${path}`, { agent, ...options });
        return { status: answer.status, json: answer.body.length > 0 ? answer.json : null };
    };
    return {
        get: (id) => ask(`/${id}`),
        put: (id, json) => ask(`/${id}`, { method: 'PUT', json }),
        find: (selector) => ask('/_find', { method: 'POST', json: { selector, limit: 1 } }),
        close: () => agent.destroy(),
    };
}

// The same through nano, which throws for every status that is no success.
export function nanoClient(scope) {
    const ask = async (what) => {
        try {
            return { status: 200, json: await what };
        } catch (error) {
            if (error.statusCode === undefined) {
                throw error;
            }
            return { status: error.statusCode, json: null };
        }
    };
    return {
        get: (id) => ask(scope.get(id)),
        put: (id, json) => ask(scope.insert(json, id)),
        find: (selector) => ask(scope.find({ selector, limit: 1 })),
        close: () => {},
    };
}

export class Load {
    // known: ids that exist in every region. mix: operations, drawn evenly. prefix: of the ids that are put.
    constructor(client, { known, clients = 6, think_ms = 8, mix = ['get', 'get', 'get', 'put', 'put'], prefix = 'w', onResult = () => {} }) {
        Object.assign(this, { client, known, think_ms, mix, prefix, onResult });
        this.results = [];
        this.acknowledged = []; // ids of documents that were answered as stored
        this.stopping = false;
        this.loops = Array.from({ length: clients }, (_, n) => this.loop(n));
    }

    async loop(n) {
        for (let i = 0; !this.stopping; i += 1) {
            await this.one(this.mix[(i + n) % this.mix.length], n, i);
            await pause(this.think_ms);
        }
    }

    async one(op, n, i) {
        const id = op === 'put' ? `${this.prefix}-${n}-${i}` : this.known[(n + i) % this.known.length];
        const result = { op, id, at: Date.now() };
        const began = performance.now();
        try {
            const body = { by: n, step: i, prefix: this.prefix };
            const answer =
                op === 'put'
                    ? await this.client.put(id, body)
                    : await this.client[op](op === 'find' ? { _id: id } : id);
            result.status = answer.status;
            if (op === 'put' && answer.status === 409) {
                await this.settle(result, body);
            }
            result.failed = result.status >= 300 || (op === 'find' && answer.json.docs.length !== 1);
        } catch (error) {
            result.failed = true;
            result.error = `${error.code ?? ''} ${error.message}`;
        }
        result.ms = performance.now() - began;
        if (op === 'put' && !result.failed) {
            this.acknowledged.push(id);
        }
        this.results.push(result);
        this.onResult(result);
    }

    // A write whose answer was lost and that was sent again in the other region can find that its first
    // sending has been replicated there already. The document is ours and it is stored: no failure.
    async settle(result, body) {
        const there = await this.client.get(result.id);
        if (there.status === 200 && there.json.by === body.by && there.json.step === body.step && there.json.prefix === body.prefix) {
            result.status = 201;
            result.settled = true;
        }
    }

    // Requests begun after now that were answered well, per operation: to wait for.
    done(count, since = Date.now()) {
        return until(`${count} requests to be answered well`, () => this.results.filter((result) => result.at >= since && !result.failed).length >= count);
    }

    async stop() {
        this.stopping = true;
        await Promise.all(this.loops);
        this.client.close();
        return this;
    }

    get failed() {
        return this.results.filter((result) => result.failed);
    }

    get slowest_ms() {
        return this.results.reduce((most, result) => Math.max(most, result.ms), 0);
    }

    summary() {
        const settled = this.results.filter((result) => result.settled).length;
        return `${this.results.length} requests, ${this.failed.length} failed, ${settled} settled after a 409, slowest ${Math.round(this.slowest_ms)} ms`;
    }
}

// Documents known-0 … that exist in every region before the load begins; their ids.
export async function seed(url, count, everywhere) {
    const docs = Array.from({ length: count }, (_, i) => ({ _id: `known-${i}`, n: i }));
    const answer = await request(`${url}/_bulk_docs`, { method: 'POST', json: { docs } });
    if (answer.status !== 201) {
        throw new Error(`_bulk_docs: ${answer.status} ${answer.text}`);
    }
    const known = docs.map((doc) => doc._id);
    await everywhere(known);
    return known;
}

// Loads through nano on one database of replicated regions, one after the other; the documents they read are made
// once. nano: the module. name: of the ids that they put.
export class Loads {
    constructor(suite, nano, name) {
        Object.assign(this, { suite, nano, name, n: 0, known: undefined });
    }

    url(proxy) {
        return `${clientUrl(this.suite.regions[0], proxy.origin)}/${this.suite.db}`;
    }

    // A load that runs, to the end of the test `t` at most: some requests were answered already.
    async start(proxy, t, options = {}) {
        const { regions, db } = this.suite;
        this.known ??= await seed(this.url(proxy), 40, (ids) => everywhere(regions, db, ids));
        this.n += 1;
        const scope = this.nano(clientUrl(regions[0], proxy.origin)).use(db);
        const load = new Load(nanoClient(scope), { known: this.known, prefix: `${this.name}${this.n}`, ...options });
        t.after(() => load.stop());
        await load.done(50);
        return load;
    }
}
