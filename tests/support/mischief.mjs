// A dishonest thing between a client and a region, to see whether the checker (checker.mjs) finds it out. Each trick
// is played once, on the first request that it fits from the `skip`th on; all else passes unchanged.
//
//   swallow   a PUT is answered 201 and never sent on
//   invent    a POST without an id is answered 201 and never sent on
//   twice     a POST without an id is sent on twice
//   deny      a PUT is carried out and answered 409
//   fork      a PUT is carried out, and another branch is laid beside it
//   alien     with a PUT a document appears that nobody wrote
//   reparent  a PUT on a revision becomes a document of its own lineage
//   hide      one row is left out of every answer of _changes (for ever)
//   repeat    every row of every answer of _changes is told twice
//   finish    _changes is answered 404
//   forget    a document that is there is answered 404

import http from 'node:http';
import { couch, request } from './http.mjs';

const writes = (method) => (req) => req.method === method && !/\/_/.test(req.url);
const posts = (req) => req.method === 'POST' && /^\/[^/]+$/.test(req.url);
const json = (status, value) => ({ status, text: JSON.stringify(value) });
const forged = '1-0123456789abcdef0123456789abcdef';

const idOf = (req) => decodeURIComponent(req.url.split('?')[0].split('/').at(-1));

export const TRICKS = {
    swallow: { fits: writes('PUT'), play: (m, req) => json(201, { ok: true, id: idOf(req), rev: forged }) },
    invent: { fits: posts, play: () => json(201, { ok: true, id: 'invented', rev: forged }) },
    twice: {
        fits: posts,
        play: async (m, req) => {
            await m.pass(req);
            return m.pass(req);
        },
    },
    deny: {
        fits: writes('PUT'),
        play: async (m, req) => {
            await m.pass(req);
            return json(409, { error: 'conflict', reason: 'Document update conflict.' });
        },
    },
    fork: {
        fits: writes('PUT'),
        play: async (m, req) => {
            const answer = await m.pass(req);
            await m.lay(req, { ...JSON.parse(req.body), _id: idOf(req), _rev: forged });
            return answer;
        },
    },
    alien: {
        fits: writes('PUT'),
        play: async (m, req) => {
            await m.lay(req, { _id: 'alien', _rev: forged });
            return m.pass(req);
        },
    },
    reparent: {
        fits: (req) => writes('PUT')(req) && JSON.parse(req.body)._rev,
        play: async (m, req) => {
            const rev = '5-0123456789abcdef0123456789abcdef';
            await m.lay(req, { ...JSON.parse(req.body), _id: idOf(req), _rev: rev });
            return json(201, { ok: true, id: idOf(req), rev });
        },
    },
    hide: {
        often: true,
        fits: (req) => /_changes/.test(req.url),
        play: async (m, req) => {
            const answer = await m.pass(req);
            const told = JSON.parse(answer.text);
            m.hidden ??= told.results.at(-1)?.id;
            return json(answer.status, { ...told, results: told.results.filter((row) => row.id !== m.hidden) });
        },
    },
    repeat: {
        often: true,
        fits: (req) => /_changes/.test(req.url),
        play: async (m, req) => {
            const answer = await m.pass(req);
            const told = JSON.parse(answer.text);
            return json(answer.status, { ...told, results: [...told.results, ...told.results] });
        },
    },
    forget: { fits: (req) => req.method === 'GET' && /^\/[^/]+\/[^_?]+$/.test(req.url), play: () => json(404, { error: 'not_found', reason: 'missing' }) },
    finish: { fits: (req) => /_changes/.test(req.url), play: () => json(404, { error: 'not_found', reason: 'no_db_file' }) },
};

export class Mischief {
    static async start(region) {
        const mischief = new Mischief(region);
        await new Promise((resolve) => mischief.server.listen(0, '127.0.0.1', resolve));
        mischief.origin = `http://127.0.0.1:${mischief.server.address().port}`;
        return mischief;
    }

    constructor(region) {
        this.region = region;
        this.trick = null;
        this.server = http.createServer((req, res) => this.serve(req, res));
    }

    plan(name, skip = 3) {
        this.trick = name && { ...TRICKS[name], left: skip };
        this.played = 0;
        this.hidden = undefined;
    }

    async serve(req, res) {
        const parts = [];
        for await (const part of req) {
            parts.push(part);
        }
        req.body = Buffer.concat(parts).toString();
        try {
            const { status, text } = await this.answer(req);
            res.writeHead(status, { 'content-type': 'application/json' });
            res.end(text);
        } catch {
            res.destroy();
        }
    }

    answer(req) {
        const trick = this.trick;
        if (trick && trick.fits(req) && (trick.left -= 1) < 0 && (trick.often || this.played === 0)) {
            this.played += 1;
            return trick.play(this, req);
        }
        return this.pass(req);
    }

    pass({ method, url, headers, body }) {
        const { authorization } = headers;
        return request(`${this.region.origin}${url}`, {
            method,
            headers: { 'content-type': 'application/json', ...(authorization && { authorization }) },
            ...(body && { body }),
        });
    }

    // A revision as a replication would bring it.
    lay(req, doc) {
        const url = `${this.region.direct}/${req.url.split('/')[1]}/_bulk_docs`;
        return couch(url, { method: 'POST', json: { new_edits: false, docs: [doc] } });
    }

    close() {
        this.server.closeAllConnections();
        return new Promise((resolve) => this.server.close(resolve));
    }
}
