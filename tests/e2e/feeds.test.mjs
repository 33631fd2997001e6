// Feeds stay open, bring what happens as it happens, and end so that a client can tell.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { couch, request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl } from '../support/region.mjs';
import { chunk, chunkedHead, FIN } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { useRegions } from '../support/suite.mjs';
import { pause, scratch, until, within } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';
import { followParty, nanoParty } from './parties.mjs';

const suite = useRegions(2, { replicated: true });
const log = join(scratch('feeds'), 'access.jsonl');
const url = (proxy) => `${clientUrl(suite.regions[0], proxy.origin)}/${suite.db}`;

// A continuous feed: its lines as they come, and how it ended ('end' or an error code).
class Feed {
    static async open(base, query) {
        const feed = new Feed();
        const at = new URL(`${base}/_changes?feed=continuous&${query}`);
        feed.request = http.request({
            host: at.hostname,
            port: at.port,
            path: at.pathname + at.search,
            auth: at.username ? `${at.username}:${at.password}` : undefined,
            agent: false,
        });
        feed.request.on('error', (error) => {
            feed.ended ??= error.code ?? error.message;
        });
        feed.request.end();
        const [res] = await within('the head of a feed', new Promise((resolve, reject) => {
            feed.request.once('response', (...args) => resolve(args));
            feed.request.once('error', reject);
        }));
        feed.status = res.statusCode;
        let rest = '';
        res.setEncoding('utf8');
        res.on('data', (text) => {
            const lines = (rest + text).split('\n');
            rest = lines.pop();
            for (const line of lines) {
                if (line === '') {
                    feed.beats += 1;
                } else {
                    feed.rows.push({ at: performance.now(), ...JSON.parse(line) });
                }
            }
        });
        res.on('error', (error) => {
            feed.ended ??= error.code ?? error.message;
        });
        res.on('end', () => {
            feed.ended ??= 'end';
            feed.rest = rest;
        });
        return feed;
    }

    constructor() {
        Object.assign(this, { rows: [], beats: 0, ended: null, rest: '' });
    }

    row(id) {
        return until(`${id} on the feed`, () => this.rows.find((row) => row.id === id));
    }

    close() {
        this.request.destroy();
    }
}

test(
    'longpoll answers when something happens',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        const { last_seq: since } = await couch(`${url(proxy)}/_changes`);
        const poll = request(`${url(proxy)}/_changes?feed=longpoll&since=${encodeURIComponent(since)}&heartbeat=1000`);
        await until('the feed to be counted', async () => (await proxy.metric('davenport_feeds_active')) === 1);
        const began = performance.now();
        await couch(`${url(proxy)}/lp-1`, { method: 'PUT', json: { n: 1 } });
        const answer = await poll;
        t.diagnostic(`the change came after ${Math.round(performance.now() - began)} ms`);
        assert.equal(answer.status, 200);
        assert.ok(answer.json.results.some((row) => row.id === 'lp-1'));
    }),
);

test(
    'a continuous feed brings each change as it is written, and heartbeats between them',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        const feed = await Feed.open(url(proxy), 'since=now&heartbeat=200');
        assert.equal(feed.status, 200);
        await until('heartbeats', () => feed.beats >= 3);
        const delays = [];
        for (let i = 0; i < 20; i += 1) {
            const began = performance.now();
            await couch(`${url(proxy)}/live-${i}`, { method: 'PUT', json: { i } });
            const row = await feed.row(`live-${i}`);
            delays.push(row.at - began);
        }
        delays.sort((a, b) => a - b);
        t.diagnostic(`write to event: median ${delays[10].toFixed(1)} ms, most ${delays[19].toFixed(1)} ms`);
        // The client hangs up: nothing of the feed is left in the proxy.
        feed.close();
        await until('the feed to be gone', async () => (await proxy.metric('davenport_feeds_active')) === 0);
    }),
);

test(
    'many followers see every change once',
    withProxy(() => suite.regions, {}, async (proxy) => {
        const feeds = await Promise.all(Array.from({ length: 20 }, () => Feed.open(url(proxy), 'since=now&heartbeat=1000')));
        // The region reads `since=now` when it gets to it: a first change that all of them saw is the start.
        let starts = 0;
        await until('every feed to see something', async () => {
            starts += 1;
            await couch(`${url(proxy)}/start-${starts}`, { method: 'PUT', json: {} });
            await pause(50);
            return feeds.every((feed) => feed.rows.length > 0);
        });
        const wanted = Array.from({ length: 30 }, (_, i) => `many-${i}`);
        for (const id of wanted) {
            await couch(`${url(proxy)}/${id}`, { method: 'PUT', json: {} });
        }
        for (const feed of feeds) {
            await feed.row('many-29');
            const seen = feed.rows.map((row) => row.id).filter((id) => id.startsWith('many-'));
            assert.deepEqual(seen, wanted);
            feed.close();
        }
    }),
);

test(
    'a feed whose region dies ends, and a new one goes on in the other region',
    withProxy(() => suite.regions, {}, async (proxy) => {
        const feed = await Feed.open(url(proxy), 'since=now&heartbeat=500');
        await until('a heartbeat', () => feed.beats > 0);
        assert.equal(await proxy.active(), 'left');
        await suite.regions[0].kill();
        await until('the feed to end', () => feed.ended);
        assert.deepEqual([feed.ended, feed.rest], ['end', ''], 'it ends properly, at the end of a line');
        const again = await Feed.open(url(proxy), 'since=now&heartbeat=500');
        await until('a heartbeat from the other region', () => again.beats > 0);
        await couch(`${url(proxy)}/after-death`, { method: 'PUT', json: {} });
        await again.row('after-death');
        again.close();
    }),
);

test(
    'a longpoll whose region dies does not end as if nothing had happened',
    withProxy(() => suite.regions, {}, async (proxy) => {
        const wire = await Wire.connect(proxy.port);
        const authorization = suite.regions[0].auth
            ? `Authorization: Basic ${Buffer.from(suite.regions[0].auth.slice(0, -1)).toString('base64')}\r\n`
            : '';
        wire.send(`GET /${suite.db}/_changes?feed=longpoll&since=now&heartbeat=300 HTTP/1.1\r\nHost: h\r\n${authorization}\r\n`);
        await wire.text(/\r\n\r\n/);
        await suite.regions[0].kill();
        const answer = await wire.response();
        if (answer.status === 200) {
            // Begun in the dead region: the client must be able to tell that it was cut.
            assert.equal(answer.complete, false);
            await wire.end();
        }
        wire.destroy();
    }),
);

test(
    'cloudant-follow and nano go on after a kill, and ask once each for what they asked before',
    withProxy(() => suite.regions, { hold: { ms: 30_000 }, access_log: { path: log } }, async (proxy, t) => {
        const names = (prefix) => Array.from({ length: 10 }, (_, i) => `${prefix}-${i}`);
        const put = (ids) => couch(`${url(proxy)}/_bulk_docs`, { method: 'POST', json: { docs: ids.map((_id) => ({ _id })) } });
        const cloudant = followParty(url(proxy), { heartbeat: 100_000 });
        const followers = [cloudant, nanoParty(url(proxy)).follow()];
        t.after(() => followers.forEach((heard) => heard.stop()));
        const know = (ids) =>
            until('followers to be told', () => followers.every((heard) => ids.every((id) => heard.revs.has(id))));
        await put(names('known'));
        await know(names('known'));
        // A reset it takes for two ends, of the request and of what it reads, and begins a feed for each.
        cloudant.asked = 0;
        await suite.regions[0].kill();
        await proxy.untilActive('right');
        await put(names('later'));
        await know(names('later'));
        assert.equal(cloudant.asked, 1);
        assert.deepEqual(followers.map((heard) => heard.died), [null, null]);
        // What its client saw as a feed's end was a death, and the log says so.
        const continuous = (line) => line.target.includes('feed=continuous') && line.end !== 'client_gone';
        const [feed] = await until('its line in the access log', () => {
            const lines = readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)).filter(continuous);
            return lines.length > 0 && lines;
        });
        assert.deepEqual([feed.end, feed.reason, feed.region], ['feed_ended', 'truncated', 'left']);
    }),
);

test('what CouchDB writes into and behind its feeds reaches nobody else', async (t) => {
    const region = await ScriptedRegion.start();
    region.play('11-wire/keepalive-1', (r) => r.target === '/w/d0');
    region.play('06b-changes-feeds/eventsource-desync', (r) => r.target.includes('feed=eventsource'));
    region.play('06b-changes-feeds/mm-longpoll', (r) => r.target.includes('feed=longpoll'));
    region.play('06b-changes-feeds/mm-continuous', (r) => r.target.includes('feed=continuous'));
    const proxied = (body) => withProxy([region], {}, body)(t);

    // Eleven bytes after the last chunk: the connection must not serve another request.
    await proxied(async (proxy) => {
        for (let i = 0; i < 20; i += 1) {
            const feed = await request(`${proxy.origin}/g/_changes?feed=eventsource&since=now&timeout=400`);
            assert.deepEqual([feed.status, feed.text], [200, '\n']);
            const next = await request(`${proxy.origin}/w/d0`);
            assert.deepEqual([next.status, next.json.n], [200, 0]);
        }
    });

    // A second head inside the body: no byte of it may pass for a part of the feed.
    await proxied(async (proxy) => {
        for (const feed of ['longpoll', 'continuous']) {
            const wire = await Wire.connect(proxy.port);
            wire.send(`GET /g/_changes?feed=${feed}&since=now&heartbeat=500 HTTP/1.1\r\nHost: h\r\n\r\n`);
            const answer = await wire.response();
            assert.equal(answer.status, 200);
            assert.equal(answer.complete, feed === 'continuous', 'the one ends behind a line, the other is cut');
            assert.equal(answer.notAChunk, null);
            assert.doesNotMatch(answer.text, /HTTP|412|nodedown/);
            if (answer.complete) { // the connection goes on, and nothing of it stands in the next answer's way
                const next = await wire.send('GET /w/d0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n').response();
                assert.deepEqual([next.status, next.complete], [200, true]);
            }
            await wire.end();
            assert.doesNotMatch(wire.bytes.toString('latin1'), /412|nodedown/);
        }
        assert.equal((await request(`${proxy.origin}/w/d0`)).status, 200);
    });
    await region.close();
});

test('a feed that says nothing for long is left alone, and what it says is not held back', async (t) => {
    const region = await ScriptedRegion.start();
    let speak;
    let end;
    const spoken = new Promise((resolve) => {
        speak = resolve;
    });
    const ended = new Promise((resolve) => {
        end = resolve;
    });
    const late = chunk('{"seq":"1","id":"late"}\n');
    region.on(/feed=continuous/, [chunkedHead(), chunk('\n'), { until: spoken }, late, { until: ended }, FIN]);
    // Every limit that is not for feeds is far below the silence.
    const over = { timeouts: { answer_ms: 300, stall_ms: 300, body_ms: 300, idle_ms: 300, head_ms: 300 } };
    await withProxy([region], over, async (proxy) => {
        // Its opening must keep them too, which takes a machine that is quick for a moment.
        const feed = await until('a feed', async () => {
            const one = await Feed.open(`${proxy.origin}/db`, 'since=now');
            return one.status === 200 && one;
        });
        await until('the first newline', () => feed.beats === 1);
        await pause(1_500);
        assert.equal(feed.ended, null);
        speak();
        await feed.row('late'); // nothing comes behind it
        end();
        await until('the end', () => feed.ended);
    })(t);
    await region.close();
});
