// Tokens and bookmarks of one region while another has the traffic; and what carries them: compressed answers, an eventsource's
// header.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { CouchRegion } from '../support/couch_region.mjs';
import { answer, chunkedHead, LAST_CHUNK } from '../support/couchdb_rows.mjs';
import { couch, request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { createDatabase } from '../support/region.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

const model = { regions: [], db: null };
before(async () => {
    model.regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    model.db = await createDatabase(model.regions);
    for (const region of model.regions) {
        await couch(`${region.direct}/${model.db}/_bulk_docs`, { method: 'POST', json: { docs: ['a', 'b', 'c'].map((_id) => ({ _id })) } });
    }
});
after(() => Promise.all(model.regions.map((region) => region.close())));

test(
    'foreign_sequence: reject says so until the region is back',
    withProxy(() => model.regions, { foreign_sequence: 'reject', hold: { ms: 0 } }, async (proxy) => {
        const changes = `${proxy.origin}/${model.db}/_changes`;
        const { last_seq } = await couch(changes);
        assert.match(last_seq, /~left\./);
        const since = encodeURIComponent(last_seq);
        await model.regions[0].kill();
        await proxy.untilActive('right');
        for (const feed of ['normal', 'longpoll', 'continuous', 'eventsource']) {
            const refused = await request(`${changes}?since=${since}&feed=${feed}`);
            assert.deepEqual([refused.status, refused.json.error], [503, 'foreign_sequence'], feed);
            assert.ok(Number(refused.headers['retry-after']) > 0);
        }
        // Who names no region's place is served where the traffic is.
        assert.equal((await couch(changes)).results.length, 3);
        await model.regions[0].revive();
        const again = await until('its region to serve it', async () => {
            const got = await request(`${changes}?since=${since}`);
            return got.status === 200 && got;
        });
        assert.equal(again.headers['davenport-region'], 'left');
        assert.deepEqual(again.json.results, []);
    }),
);

// Events as they come, until there are `count` of them; then the client goes away.
function events(url, headers, count) {
    return new Promise((resolve, reject) => {
        const found = [];
        const req = http.get(url, { headers, agent: false }, (res) => {
            let rest = '';
            assert.equal(res.statusCode, 200);
            res.setEncoding('utf8');
            res.on('data', (text) => {
                const parts = (rest + text).split('\n\n');
                rest = parts.pop();
                found.push(...parts.filter((one) => one.includes('data: {')));
                if (found.length >= count) {
                    req.destroy();
                    resolve(found.map((one) => ({ ...JSON.parse(/data: (.*)/.exec(one)[1]), event: /id: (.*)/.exec(one)[1] })));
                }
            });
            res.on('error', () => {});
        });
        req.on('error', reject);
    });
}

test(
    "an eventsource's client comes back with Last-Event-ID, which counts more than its query",
    withProxy(() => model.regions, {}, async (proxy) => {
        const url = `${proxy.origin}/${model.db}/_changes?feed=eventsource&since=0`;
        const [first, second] = await events(url, {}, 2);
        assert.equal(JSON.parse(first.event), first.seq);
        assert.match(first.seq, /~left$/);
        // As browsers have it: the bytes behind `id: `, quotes and all. A region knows no tags, and would say 400.
        const rest = await events(url, { 'Last-Event-ID': first.event }, 2);
        assert.deepEqual(rest.map((row) => row.id)[0], second.id);
        const bare = await events(url, { 'last-event-id': second.seq }, 1);
        assert.deepEqual(bare.map((row) => row.id), [rest[1].id]);
    }),
);

// ---- regions that are told what to say ----

async function scripted(t, over, body) {
    const regions = await Promise.all(['left', 'right'].map((name) => ScriptedRegion.start(name)));
    try {
        await withProxy(regions, over, (proxy) => body(proxy, regions))(t);
    } finally {
        await Promise.all(regions.map((region) => region.close()));
    }
}

test('what comes compressed is told plain, with its tokens tagged', (t) =>
    scripted(t, {}, async (proxy, [left]) => {
        const rows = Array.from({ length: 500 }, (_, i) => ({ seq: `${i}-g1AAAA`, id: `document-${i}`, changes: [{ rev: '1-a' }] }));
        const text = `{"results":[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n],\n"last_seq":"500-g1AAAA","pending":7}\n`;
        const packed = gzipSync(text);
        const pieces = Array.from({ length: Math.ceil(packed.length / 97) }, (_, i) => {
            const piece = packed.subarray(97 * i, 97 * (i + 1));
            return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]);
        });
        left.on(/_changes/, [chunkedHead({ 'Content-Encoding': 'gzip' }), ...pieces, LAST_CHUNK]);
        for (const coding of ['gzip, deflate, br', 'identity']) {
            const got = await request(`${proxy.origin}/db/_changes`, { headers: { 'accept-encoding': coding } });
            assert.equal(got.status, 200);
            assert.equal(got.headers['content-encoding'], undefined);
            assert.equal(got.text, text.replaceAll('g1AAAA"', 'g1AAAA~left"'));
        }
        assert.deepEqual(left.seen(/_changes/).map((asked) => asked.headers['accept-encoding']), ['gzip', 'identity']);
        assert.equal(gunzipSync(packed).toString(), text);
    }));

// Of a text index, as dreyfus packs it: a triple a shard. Of a JSON index, as recorded (05-views-find).
const TEXT = 'g2wAAAABaANkAAFubAAAAAJhAGEBamEAag';
const KEYS = 'g2wAAAACaAJkAA5zdGFydGtleV9kb2NpZG0AAAADZDA0aAJkAAhzdGFydGtleWsAAQRq';

test('a bookmark goes to its region, or is refused; that of a JSON index is good everywhere', (t) =>
    scripted(t, { hold: { ms: 0 } }, async (proxy, [left, right]) => {
        for (const region of [left, right]) {
            region.on(/_search/, [answer(200, { total_rows: 0, bookmark: TEXT, rows: [] })]);
            region.on(/_find/, [answer(200, { docs: [], bookmark: KEYS })]);
        }
        const search = (bookmark) => request(`${proxy.origin}/db/_design/x/_search/y?q=a${bookmark ? `&bookmark=${bookmark}` : ''}`);
        const find = (bookmark, gzip) => {
            const body = Buffer.from(JSON.stringify({ selector: {}, bookmark }));
            const headers = { 'content-type': 'application/json', ...(gzip && { 'content-encoding': 'gzip' }) };
            return request(`${proxy.origin}/db/_find`, { method: 'POST', headers, body: gzip ? gzipSync(body) : body });
        };
        assert.equal((await search()).json.bookmark, `${TEXT}~left`);
        assert.equal((await find()).json.bookmark, `${KEYS}~left`);
        assert.equal((await proxy.move('right', 'a test')).status, 200);
        await proxy.untilActive('right');
        assert.equal((await search(`${TEXT}~left`)).headers['davenport-region'], 'left');
        for (const gzip of [false, true]) {
            assert.equal((await find(`${TEXT}~left`, gzip)).headers['davenport-region'], 'left');
            assert.equal((await find(`${KEYS}~left`, gzip)).headers['davenport-region'], 'right');
        }
        const asked = [...left.requests, ...right.requests];
        assert.equal(asked.length, 7);
        assert.ok(asked.every((one) => !`${one.target}${one.body}`.includes('~')), 'no region sees a tag');
        await left.kill();
        await until('left to be down', async () => (await proxy.region('left')).health === 'down');
        for (const refused of [await search(`${TEXT}~left`), await find(`${TEXT}~left`, true)]) {
            assert.deepEqual([refused.status, refused.json.error], [503, 'foreign_bookmark']);
            assert.ok(Number(refused.headers['retry-after']) > 0);
        }
        assert.equal((await find(`${KEYS}~left`)).headers['davenport-region'], 'right');
    }));
