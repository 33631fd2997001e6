// SIGTERM: what is under way is finished, feeds are ended, nothing new is begun, and the exit is clean.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { answer, chunk, chunkedHead, LAST_CHUNK } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

async function scripted(t, over, body) {
    const region = await ScriptedRegion.start();
    try {
        await withProxy([region], over, (proxy) => body(proxy, region))(t);
    } finally {
        await region.close();
    }
}

const gate = () => {
    let open;
    const opened = new Promise((resolve) => {
        open = resolve;
    });
    return { open, opened };
};

for (const workers of [1, 3]) {
    test(`requests under way are answered in full (${workers} workers)`, (t) =>
        scripted(t, { workers }, async (proxy, region) => {
            const { open, opened } = gate();
            region.on('GET /db/slow', [{ until: opened }, answer(200, { ok: true })]);
            region.on('GET /db/begun', [chunkedHead(), chunk('begun '), { until: opened }, chunk('ended'), LAST_CHUNK]);
            region.on('PUT /db/doc', [{ until: opened }, answer(201, { ok: true })]);
            const asked = [];
            for (let i = 0; i < 10; i += 1) {
                asked.push(request(`${proxy.origin}/db/slow`));
                asked.push(request(`${proxy.origin}/db/begun`));
                asked.push(request(`${proxy.origin}/db/doc`, { method: 'PUT', json: { i } }));
            }
            await until('all to be under way', () => region.requests.length === 30);
            proxy.child.signal('SIGTERM');
            await until('no new connection', async () => {
                const got = await request(`${proxy.origin}/db/none`, { limit_ms: 5_000 }).catch((error) => error);
                return got.code === 'ECONNREFUSED' || got.code === 'ECONNRESET' || got.status === 503;
            });
            open();
            const answers = await Promise.all(asked);
            assert.deepEqual(
                answers.map((got) => got.status),
                answers.map((_, i) => (i % 3 === 2 ? 201 : 200)),
            );
            assert.equal(answers[1].text, 'begun ended');
            await proxy.child.wait();
        }));
}

test('feeds are ended where a client can tell, and idle connections are closed', (t) =>
    scripted(t, {}, async (proxy, region) => {
        const never = new Promise(() => {});
        region.on(/feed=continuous/, [chunkedHead(), chunk('{"seq":"1","id":"a"}\n'), { until: never }]);
        region.on(/feed=longpoll/, [chunkedHead(), chunk('{"results":[\n'), { until: never }]);
        region.on('GET /db/a', [answer(200, { ok: true })]);
        const continuous = await Wire.connect(proxy.port);
        continuous.send('GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: h\r\n\r\n');
        await continuous.text(/"a"}\n/);
        const longpoll = await Wire.connect(proxy.port);
        longpoll.send('GET /db/_changes?feed=longpoll HTTP/1.1\r\nHost: h\r\n\r\n');
        await longpoll.text(/results/);
        const idle = await Wire.connect(proxy.port);
        idle.send('GET /db/a HTTP/1.1\r\nHost: h\r\n\r\n');
        assert.equal((await idle.response()).status, 200);

        proxy.child.signal('SIGTERM');
        const line = await continuous.response();
        assert.equal(line.text, '{"seq":"1~scripted","id":"a"}\n', 'whole lines only');
        const cut = await longpoll.response();
        assert.equal(cut.complete, false, 'an unfinished JSON document must not look finished');
        await Promise.all([continuous.end(), longpoll.end(), idle.end()]);
        assert.deepEqual(await proxy.child.wait(), { code: 0, signal: null });
    }));

test('what does not end is cut off after the limit', (t) =>
    scripted(t, { timeouts: { drain_ms: 700 } }, async (proxy, region) => {
        region.on('GET /db/never', [{ until: new Promise(() => {}) }]);
        const wire = await Wire.connect(proxy.port);
        wire.send('GET /db/never HTTP/1.1\r\nHost: h\r\n\r\n');
        await until('it to be under way', () => region.requests.length === 1);
        proxy.child.signal('SIGTERM');
        await wire.end();
        assert.deepEqual(await proxy.child.wait(), { code: 0, signal: null });
    }));

test('SIGINT drains too, and a second signal does not wait', (t) =>
    scripted(t, { timeouts: { drain_ms: 600_000 } }, async (proxy, region) => {
        region.on('GET /db/never', [{ until: new Promise(() => {}) }]);
        const wire = await Wire.connect(proxy.port);
        wire.send('GET /db/never HTTP/1.1\r\nHost: h\r\n\r\n');
        await until('it to be under way', () => region.requests.length === 1);
        proxy.child.signal('SIGINT');
        await until('no new connection', () =>
            request(`${proxy.origin}/db/a`, { limit_ms: 5_000 }).then(
                (got) => got.status === 503,
                () => true,
            ),
        );
        assert.ok(proxy.child.running);
        proxy.child.signal('SIGTERM');
        await proxy.child.wait();
        await wire.end();
    }));
