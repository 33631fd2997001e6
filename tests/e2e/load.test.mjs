// `davenport load`: what it asks, when, and what it tells, against servers that stall, refuse, cut and hang.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { couch, request } from '../support/http.mjs';
import { BINARY } from '../support/proxy.mjs';
import { PouchRegion } from '../support/region.mjs';
import { pickPort } from '../support/sockets.mjs';
import { Authority } from '../support/tls.mjs';
import { LIMIT_MS, scratch, until, within } from '../support/wait.mjs';

// Run it to its end: exit code, stdout, stderr.
function start(args, env = {}) {
    const child = spawn(BINARY, ['load', ...args.map(String)], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { child, stdout: '', stderr: '' };
    child.stdout.on('data', (part) => { out.stdout += part; });
    child.stderr.on('data', (part) => { out.stderr += part; });
    out.ended = within('the end of a load', new Promise((resolve) => {
        child.once('close', (code) => resolve(Object.assign(out, { code })));
    }), LIMIT_MS).catch((error) => {
        child.kill('SIGKILL');
        throw error;
    });
    return out;
}

// As patient as the test itself where nothing else is said: what fails here fails by no machine's doing.
async function load(args, env) {
    const patience = args.includes('--timeout') ? [] : ['--timeout', 60_000];
    const done = await start([...patience, ...args, '--json'], env).ended;
    assert.equal(done.code, 0, done.stderr);
    assert.equal(done.stderr, '');
    return JSON.parse(done.stdout);
}

async function serve(handler, { tls, path } = {}) {
    const server = tls ? https.createServer(tls, handler) : http.createServer(handler);
    server.unref(); // a test that failed before it could close it ends all the same
    await new Promise((resolve) => (path ? server.listen(path, resolve) : server.listen(0, '127.0.0.1', resolve)));
    const origin = path ? 'http://localhost' : `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
    return {
        origin,
        close: () => {
            server.closeAllConnections();
            return new Promise((resolve) => server.close(resolve));
        },
    };
}

const say = (res, status, text, headers = {}) => {
    res.writeHead(status, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(text), ...headers });
    res.end(text);
};

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

test('a stall of a second is charged with all requests that were due in it', async () => {
    let began = 0;
    let stalled = null;
    const server = await serve(async (req, res) => {
        began ||= Date.now();
        if (stalled === null && Date.now() - began > 1_000) {
            stalled = new Promise((resolve) => setTimeout(resolve, 1_000));
        }
        await stalled;
        say(res, 200, 'ok');
    });
    const told = await load(['--rate', 100, '--seconds', 4, '--connections', 2, '--timeout', 60_000, `${server.origin}/x`]);
    await server.close();
    assert.equal(told.requests, 400);
    assert.equal(told.ok, 400);
    // A closed loop over two connections would have had two slow requests of 400. A quarter was due in the stall: the slowest tenth
    // of all waited for more than half of it.
    assert.ok(told.p90_ms > 500, `p90 ${told.p90_ms}`);
    assert.ok(told.max_ms > 900, `max ${told.max_ms}`);
    assert.ok(told.series.p90_ms.some((ms) => ms > 300), `${told.series.p90_ms}`);
    assert.deepEqual(told.series.due, [100, 100, 100, 100]);
    assert.equal(sum(told.series.ok), 400);
});

test('what fails is counted by how it failed', async () => {
    const server = await serve((req, res) => {
        if (req.url === '/cut') {
            res.socket.destroy();
        } else if (req.url === '/half') {
            res.writeHead(200, { 'Content-Length': 100 });
            res.write('half');
            setImmediate(() => res.socket.destroy());
        } else if (req.url === '/junk') {
            res.socket.end('no such thing\r\n\r\n');
        } else if (req.url.startsWith('/status')) {
            say(res, Number(req.url.split('/')[2]), 'no');
        } // else it hangs
    });
    const run = (path, ...more) => load(['--rate', 50, '--seconds', 0.4, '--connections', 40, ...more, server.origin + path]);
    for (const [path, failures] of [
        ['/status/503', { 'status 503': 20 }],
        ['/status/404', { 'status 404': 20 }],
        ['/status/204', {}],
        ['/cut', { closed: 20 }],
        ['/half', { closed: 20 }],
        ['/junk', { answer: 20 }],
    ]) {
        const told = await run(path, '--timeout', 30_000);
        assert.deepEqual(told.kinds[0].failures, failures, path);
        assert.equal(told.failed, sum(Object.values(failures)), path);
        assert.equal(told.ok + told.failed, 20, path);
    }
    // With one connection the others never leave the line.
    const told = await run('/hang', '--connections', 1, '--timeout', 1_000);
    assert.equal(told.failed, 20);
    const { timeout, unsent } = told.kinds[0].failures;
    assert.ok(timeout >= 1 && unsent >= 10 && timeout + unsent === 20, JSON.stringify(told.kinds[0].failures));
    assert.equal(told.outages.length, 1);
    assert.equal(told.outages[0].failed, 20);
    assert.equal(told.p50_ms, null);
    await server.close();
});

test('ramps and warm-ups', async () => {
    let asked = 0;
    const server = await serve((req, res) => {
        asked += 1;
        say(res, 200, 'ok');
    });
    const told = await load(['--rate', 100, '--ramp', 1, '--seconds', 1, '--warmup', 0.5, `${server.origin}/x`]);
    await server.close();
    // From 0: half of 100 in the ramp's second, 100 in the next; nothing in the warm-up, which has the ramp's first rate.
    assert.equal(told.requests, 150);
    assert.equal(asked, 150);
    assert.equal(sum(told.series.due), 150);
    assert.ok(told.series.due[0] < 60 && told.series.due[0] > 40, told.series.due);
    assert.equal(told.seconds, 2);
});

test('requests are as asked for: method, body, headers, credentials', async () => {
    const seen = [];
    const server = await serve((req, res) => {
        let body = '';
        req.on('data', (part) => { body += part; });
        req.on('end', () => {
            seen.push({ method: req.method, url: req.url, body, type: req.headers['x-one'], auth: req.headers.authorization });
            say(res, 200, 'ok', { 'Davenport-Region': seen.length % 2 ? 'left' : 'right' });
        });
    });
    const headers = join(scratch('load'), 'headers');
    writeFileSync(headers, 'X-One: a b\n\nX-Two: c\r\n');
    const told = await load(['--rate', 20, '--seconds', 0.5, '-X', 'PUT', '--body-bytes', 3, '-H', headers, '-u', 'ann', `${server.origin}/a/b?c=d`],
        { DAVENPORT_LOAD_PASSWORD: 'pass:word' });
    assert.equal(seen.length, 10);
    for (const one of seen) {
        assert.deepEqual(one, {
            method: 'PUT', url: '/a/b?c=d', body: 'xxx', type: 'a b', auth: `Basic ${Buffer.from('ann:pass:word').toString('base64')}`,
        });
    }
    assert.equal(sum(told.series.regions.left), 5);
    assert.equal(sum(told.series.regions.right), 5);
    const head = await load(['--rate', 20, '--seconds', 0.5, '-X', 'HEAD', '--connections', 1, `${server.origin}/a`]);
    assert.equal(head.ok, 10);
    await server.close();
});

test('over TLS and through a Unix socket', async () => {
    const authority = new Authority();
    const leaf = authority.leaf('server', 'IP:127.0.0.1');
    const handler = (req, res) => say(res, 200, 'ok');
    const secure = await serve(handler, { tls: { cert: readFileSync(leaf.cert), key: readFileSync(leaf.key) } });
    assert.equal((await load(['--rate', 50, '--seconds', 0.4, '--ca', authority.file, `${secure.origin}/x`])).ok, 20);
    assert.equal((await load(['--rate', 50, '--seconds', 0.4, '--insecure', `${secure.origin}/x`])).ok, 20);
    const distrusted = await start(['--timeout', 500, `${secure.origin}/x`]).ended;
    assert.equal(distrusted.code, 3);
    await secure.close();
    const path = join(scratch('load'), 'sock');
    const local = await serve(handler, { path });
    assert.equal((await load(['--rate', 50, '--seconds', 0.4, '--unix', path, `${local.origin}/x`])).ok, 20);
    await local.close();
});

test('connections that a server ends are made again', async () => {
    const server = await serve((req, res) => say(res, 200, 'ok', { Connection: 'close' }));
    const told = await load(['--rate', 100, '--seconds', 0.5, '--connections', 4, '--timeout', 30_000, `${server.origin}/x`]);
    assert.equal(told.ok, 50);
    await server.close();
});

test('an application of CouchDB', async () => {
    const region = await CouchRegion.start('left');
    await couch(`${region.origin}/load`, { method: 'PUT' });
    const told = await load(['--database', 'load', '--rate', 150, '--seconds', 2, '--connections', 8, '--documents', 20, '--document-bytes', 400,
        '--mix', 'get=50,put=30,post=10,bulk=10', '--longpoll', 1, '--continuous', 1, '--timeout', 30_000, region.origin]);
    assert.equal(told.ok, 300, JSON.stringify(told.kinds));
    const of = Object.fromEntries(told.kinds.map((one) => [one.kind, one.requests]));
    assert.deepEqual(Object.keys(of).sort(), ['bulk', 'get', 'post', 'put']);
    assert.ok(of.get > of.put && of.put > of.post, of);
    const { json } = await request(`${region.origin}/load/_all_docs?include_docs=true&conflicts=true`);
    assert.equal(json.rows.length, 20 + of.post + 5 * of.bulk);
    const tags = new Set();
    let revisions = 0;
    for (const { doc } of json.rows) {
        assert.equal(doc._conflicts, undefined);
        assert.equal(doc.bucket, doc.tag % 16);
        assert.ok(JSON.stringify(doc).length >= 400);
        tags.add(doc.tag);
        revisions += Number(doc._rev.split('-')[0]);
    }
    assert.equal(tags.size, json.rows.length); // each write has its own
    assert.equal(revisions, json.rows.length + of.put); // each put made one, on the one before
    // The same seed draws the same.
    const again = await load(['--database', 'load', '--rate', 150, '--seconds', 2, '--connections', 8, '--documents', 20,
        '--mix', 'get=50,put=30,post=10,bulk=10', '--timeout', 30_000, region.origin]);
    assert.deepEqual(Object.fromEntries(again.kinds.map((one) => [one.kind, one.requests])), of);
    await region.close();
});

test('queries, views and attachments', async () => {
    const region = await PouchRegion.start('left');
    await couch(`${region.origin}/load`, { method: 'PUT' });
    await couch(`${region.origin}/load/_index`, { method: 'POST', json: { index: { fields: ['bucket'] } } });
    await couch(`${region.origin}/load/_design/drill`, { method: 'PUT', json: { views: { by_bucket: { map: 'function (doc) { emit(doc.bucket, 1); }' } } } });
    const told = await load(['--database', 'load', '--rate', 30, '--seconds', 2, '--connections', 4, '--documents', 8, '--attachment-bytes', 1000,
        '--mix', 'find=10,view=10,attachment=10', '--timeout', 60_000, region.origin]);
    assert.equal(told.ok, 60, JSON.stringify(told.kinds));
    const { json } = await request(`${region.origin}/load/_all_docs?include_docs=true`);
    const attached = json.rows.filter((row) => row.doc._attachments?.data.length === 1000);
    assert.equal(attached.length, told.kinds.find((one) => one.kind === 'attachment').requests);
    await region.close();
});

test('what can\'t be carried out says so', async () => {
    const server = await serve((req, res) => say(res, 401, '{"error":"unauthorized"}'));
    const unauthorized = await start(['--database', 'load', server.origin]).ended;
    assert.equal(unauthorized.code, 1);
    assert.match(unauthorized.stderr, /a document that was to be made was answered 401/);
    await server.close();

    const nobody = await start(['--timeout', 300, `http://127.0.0.1:${await pickPort()}/`]).ended;
    assert.equal(nobody.code, 3);
    assert.match(nobody.stderr, /no connection stands/);

    for (const [args, words, code = 2] of [
        [['--rate', '0', 'http://127.0.0.1/'], /--rate takes a number/],
        [['--mix', 'gets=1', '--database', 'd', 'http://127.0.0.1/'], /--mix is written/],
        [['--database', 'd', '--documents', '3', 'http://127.0.0.1/'], /more documents than connections/],
        [['http://example.com/'], /--i-own-this example\.com/, 4],
        [['http://127.0.0.1.example.com/'], /--i-own-this 127\.0\.0\.1\.example\.com/, 4],
        [['http://localhost@example.com/'], /is not this machine/, 4],
        [['--i-own-this', 'example.com', '--rate', 201, 'http://example.com/'], /refused: --rate is 201, and 200 requests\/s are allowed where it is not this machine/, 4],
        [['--i-own-this', 'example.com', '--rate', 301, '--max-rate', 300, 'http://example.com/'], /--rate is 301, and 300 requests\/s are allowed$/m, 4],
        [['--max-rate', 10, 'http://127.0.0.1:1/'], /--rate is 100, and 10 requests\/s/, 4],
        [['--max-rate', 'many', 'http://127.0.0.1:1/'], /--max-rate takes a number/],
        [['--i-own-this', 'localhost@example.com', 'http://localhost@example.com/'], /options of their own/],
        [['ftp://127.0.0.1/'], /begins with http/],
        [['http://127.0.0.1:0/'], /a port is/],
        [['--user', 'ann', 'http://127.0.0.1/'], /DAVENPORT_LOAD_PASSWORD/],
        [['--ca', '/nowhere.pem', 'https://127.0.0.1/'], /nowhere\.pem/],
    ]) {
        const refused = await start(args, { DAVENPORT_LOAD_PASSWORD: undefined }).ended;
        assert.equal(refused.code, code, `${args}: ${refused.stderr}`);
        assert.match(refused.stderr, words);
    }
});

test('a signal ends it early, and what was asked is told', async () => {
    let asked = 0;
    const server = await serve((req, res) => {
        asked += 1;
        say(res, 200, 'ok');
    });
    const running = start(['--rate', 100, '--seconds', 3_000, '--json', `${server.origin}/x`]);
    await until('some requests', () => asked > 50);
    running.child.kill('SIGINT');
    const done = await running.ended;
    assert.equal(done.code, 0, done.stderr);
    const told = JSON.parse(done.stdout);
    assert.equal(told.ok, asked);
    assert.equal(told.requests, asked);
    assert.ok(told.series.due.length < 60);
    await server.close();
});

test('for people', async () => {
    const server = await serve((req, res) => say(res, req.url === '/bad' ? 500 : 200, 'ok'));
    const done = await start(['--rate', 50, '--seconds', 0.4, `${server.origin}/bad`]).ended;
    assert.equal(done.code, 0);
    assert.match(done.stdout, /^20 requests were due in 0\.4 s, 50\.0 a second/);
    assert.match(done.stdout, /target +20 +20 +- +- +- +- +status 500: 20/);
    assert.match(done.stdout, /out from 0\.00 s to 0\.\d\d s: 20 failed/);
    await server.close();
});
