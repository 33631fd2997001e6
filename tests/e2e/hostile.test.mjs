// Bad input, from clients and from regions: a clear answer or a close, never a crash, a hang or a leak, and
// never a byte of one message taken for another.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { request } from '../support/http.mjs';
import { merge, withProxy } from '../support/proxy.mjs';
import { answer, chunk, chunkedHead, FIN, LAST_CHUNK, RESET, STALL } from '../support/couchdb_rows.mjs';
import { pattern, patternHash, ScriptedRegion } from '../support/scripted_region.mjs';
import { createHash, randomBytes } from 'node:crypto';
import { pause, until } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

const MIB = 1 << 20;
let region;

before(async () => {
    region = await ScriptedRegion.start();
});
beforeEach(() => {
    region.rules.length = 0;
    region.requests.length = 0;
    region.on(/^(GET|POST|PUT|DELETE) \/db/, [answer(200, { ok: true })]);
    region.on(/^HEAD \/db/, [answer(200, { ok: true }, { headless: true })]);
});
after(() => region.close());

const limits = calm({
    limits: { head_bytes: 8_192, target_bytes: 2_048, headers: 32 },
    // Faults of the only region, one after the other, are what some of these tests are made of.
    traffic: { failures: 1_000, window_requests: 0 },
    hold: { ms: 0 },
});
// For what is never finished. Whatever is sent in pieces may meet it on a busy machine, and be told 408.
const hasty = merge(limits, { timeouts: { head_ms: 400, body_ms: 400 } });
const proxied = (body, over = limits) => withProxy(() => [region], over, async (proxy, t) => {
    await body(proxy, t);
    // Whatever it was: the next client is served, and nothing is left of the last one.
    if (proxy.child.running) {
        const next = await until('the next client to be heard out', async () => {
            const got = await request(`${proxy.origin}/db/after`);
            return got.status !== 408 && got; // in time, where that is short
        });
        assert.equal(next.status, 200);
        await until('nothing to be left', async () => {
            const totals = (await proxy.status()).totals;
            return totals.requests_active === 0 && totals.client_connections_open === 0 && totals.buffer_chunks === 0;
        });
    }
});

const HOST = 'Host: h\r\n';
const GET = `GET /db/a HTTP/1.1\r\n${HOST}\r\n`;

async function say(proxy, bytes) {
    const wire = await Wire.connect(proxy.port);
    wire.send(bytes);
    return wire;
}

// The proxy refuses: a status among these, or a close without one where that is allowed; and it closes.
async function refused(proxy, bytes, statuses, { silent = false } = {}) {
    const wire = await say(proxy, bytes);
    const how = await wire.end();
    const text = wire.bytes.toString('latin1');
    if (text === '') {
        assert.ok(silent, `closed (${how}) without an answer`);
    } else {
        const got = await wire.response();
        assert.ok(statuses.includes(got.status), `${got.line} ${got.text}`);
        assert.ok(got.complete);
        assert.ok(got.json.error && got.json.reason, 'an error in the form of CouchDB');
        assert.equal(wire.bytes.length, 0, 'one answer only');
    }
    wire.destroy();
}

const FAULTY = {
    'no version': ['GET /db/a\r\nHost: h\r\n\r\n', [400, 505]],
    'an unknown version': [`GET /db/a HTTP/3.7\r\n${HOST}\r\n`, [400, 505]],
    'HTTP/2 without asking': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 501, 505]],
    'no Host': ['GET /db/a HTTP/1.1\r\n\r\n', [400]],
    'two Hosts': ['GET /db/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', [400]],
    'a Host that is none': ['GET /db/a HTTP/1.1\r\nHost: a b/c\r\n\r\n', [400]],
    'a space before the colon': [`GET /db/a HTTP/1.1\r\n${HOST}X : 1\r\n\r\n`, [400]],
    'a header without a colon': [`GET /db/a HTTP/1.1\r\n${HOST}rubbish\r\n\r\n`, [400]],
    'a folded header': [`GET /db/a HTTP/1.1\r\n${HOST}X: 1\r\n 2\r\n\r\n`, [400]],
    'a bare LF after the request line': [`GET /db/a HTTP/1.1\n${HOST}\r\n`, [400]],
    'a bare LF between headers': ['GET /db/a HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n', [400]],
    'bare LFs only': ['GET /db/a HTTP/1.1\nHost: h\n\n', [400]],
    'a bare CR in a value': [`GET /db/a HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`, [400]],
    'a NUL in a value': [`GET /db/a HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, [400]],
    'a head ended by CR LF CR and something': [`GET /db/a HTTP/1.1\r\n${HOST}\r\rGET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`, [400]],
    'a space in the target': [`GET /db/a b HTTP/1.1\r\n${HOST}\r\n`, [400]],
    'a control character in the target': [`GET /db/\x01a HTTP/1.1\r\n${HOST}\r\n`, [400]],
    'CONNECT': [`CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n`, [400, 405, 501]],
    'Content-Length and Transfer-Encoding': [
        `POST /db HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`,
        [400],
    ],
    'two different Content-Lengths': [
        `POST /db HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 0\r\n\r\nGET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`,
        [400],
    ],
    'a list of Content-Lengths': [`POST /db HTTP/1.1\r\n${HOST}Content-Length: 2, 3\r\n\r\n{}x`, [400]],
    'a signed Content-Length': [`POST /db HTTP/1.1\r\n${HOST}Content-Length: +2\r\n\r\n{}`, [400]],
    'a negative Content-Length': [`POST /db HTTP/1.1\r\n${HOST}Content-Length: -2\r\n\r\n{}`, [400]],
    'a Content-Length past all numbers': [`POST /db HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999999\r\n\r\n{}`, [400, 413]],
    'a hexadecimal Content-Length': [`POST /db HTTP/1.1\r\n${HOST}Content-Length: 0x2\r\n\r\n{}`, [400]],
    'an unknown coding': [`POST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n`, [400, 501]],
    'a coding before chunked': [`POST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\nGET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`, [400, 501]],
    'chunked twice': [`POST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, [400, 501]],
    'two Transfer-Encodings': [`POST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`, [400, 501]],
    'chunked in HTTP/1.0': [`POST /db HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`, [400, 501]],
    'a vertical tab before chunked': [`POST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`, [400, 501]],
};

for (const [title, [bytes, statuses]] of Object.entries(FAULTY)) {
    test(
        `refused: ${title}`,
        proxied(async (proxy) => {
            await refused(proxy, bytes, statuses);
            assert.equal(region.requests.length, 0, 'no byte of it reached a region');
        }),
    );
}

// Here the head is good, so a region may already have been asked.
for (const [title, body] of [
    ['a chunk size that is none', 'zz\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size past all numbers', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than it says', `2\r\nhello\r\n0\r\n\r\n`],
    ['a bare LF behind a chunk size', '5\nhello\r\n0\r\n\r\n'],
]) {
    test(
        `refused in a body: ${title}`,
        proxied(async (proxy) => {
            await refused(proxy, `PUT /db/a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}GET /db/smuggled HTTP/1.1\r\n${HOST}\r\n`, [400]);
            assert.equal(region.seen(/smuggled/).length, 0);
            assert.ok(region.requests.every((asked) => !asked.whole), 'no region takes it for a whole request');
        }),
    );
}

test(
    'limits: a head, a target and headers past them',
    proxied(async (proxy) => {
        await refused(proxy, `GET /db/${'x'.repeat(3_000)} HTTP/1.1\r\n${HOST}\r\n`, [414]);
        await refused(proxy, `GET /db/a HTTP/1.1\r\n${HOST}X: ${'x'.repeat(9_000)}\r\n\r\n`, [431]);
        await refused(proxy, `GET /db/a HTTP/1.1\r\n${HOST}${'X: 1\r\n'.repeat(100)}\r\n`, [431]);
        // Never ended, always more: it is refused at the limit, not at the end.
        await refused(proxy, `GET /db/a HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}`, [431]);
        await refused(proxy, `GET /db/${'x'.repeat(20_000)}`, [414, 431]);
        assert.equal(region.requests.length, 0);
    }),
);

test(
    'garbage',
    proxied(async (proxy) => {
        const hello = Buffer.from('16030100c8010000c40303' + '5a'.repeat(180), 'hex'); // how TLS begins
        await refused(proxy, hello, [400, 408], { silent: true });
        await refused(proxy, Buffer.from('0d0a'.repeat(2_000), 'hex'), [400, 408, 431], { silent: true });
        await refused(proxy, Buffer.alloc(9_000), [400, 408, 431], { silent: true });
        await refused(proxy, 'SSH-2.0-OpenSSH_9.2\r\n', [400, 408], { silent: true });
        for (let i = 0; i < 40; i += 1) {
            const wire = await say(proxy, randomBytes(1 + 40 * i));
            await wire.end();
            wire.destroy();
        }
        assert.equal(region.requests.length, 0);
    }, hasty),
);

test(
    'half a head, and then nothing, or the end',
    proxied(async (proxy) => {
        for (const part of ['', 'G', 'GET /db/a HT', 'GET /db/a HTTP/1.1\r\nHost: h', 'GET /db/a HTTP/1.1\r\nHost: h\r\n', GET.slice(0, -1)]) {
            const gone = await say(proxy, part);
            gone.socket.end();
            await gone.end();
            const cut = await say(proxy, part);
            cut.destroy();
            if (part !== '') {
                await refused(proxy, part, [408]);
            }
        }
        assert.equal(region.requests.length, 0);
    }, hasty),
);

test(
    'a client that sends one byte at a time, for ever',
    proxied(async (proxy) => {
        const wire = await Wire.connect(proxy.port);
        const drip = setInterval(() => wire.send('x'), 20);
        wire.send('GET /db/');
        // Each byte is in time; the head as a whole is not.
        const got = await wire.response().finally(() => clearInterval(drip));
        assert.equal(got.status, 408);
        await wire.end();
        wire.destroy();
    }, hasty),
);

test(
    'a client that sends one byte at a time, and gets there',
    proxied(async (proxy) => {
        const wire = await Wire.connect(proxy.port);
        const message = `PUT /db/slow HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\n{"a":"bc"}${GET}`;
        for (const byte of message) {
            wire.send(byte);
            await pause(1);
        }
        assert.equal((await wire.response()).status, 200);
        assert.equal((await wire.response()).status, 200);
        assert.equal(region.seen(/slow/)[0].body.toString(), '{"a":"bc"}');
        wire.destroy();
    }),
);

test(
    'a request body that stops',
    proxied(async (proxy) => {
        await refused(proxy, `PUT /db/a HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\n{"a"`, [408]);
        await refused(proxy, `PUT /db/a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a"`, [408]);
        const gone = await say(proxy, `PUT /db/a HTTP/1.1\r\n${HOST}Content-Length: 10\r\n\r\n{"a"`);
        gone.destroy();
        assert.ok(region.requests.every((asked) => !asked.whole));
    }, hasty),
);

test(
    'pipelining: each request has its answer, in order',
    proxied(async (proxy) => {
        region.on(/^GET \/db\/\d+/, (asked) => [{ pause: asked.target.endsWith('0') ? 30 : 0 }, answer(200, { target: asked.target })]);
        const targets = Array.from({ length: 50 }, (_, i) => `/db/${i}`);
        const wire = await say(proxy, targets.map((target) => `GET ${target} HTTP/1.1\r\n${HOST}\r\n`).join(''));
        for (const target of targets) {
            assert.equal((await wire.response()).json.target, target);
        }
        // A body between them, and one whose answer has none.
        wire.send(`PUT /db/a HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\n{}HEAD /db/b HTTP/1.1\r\n${HOST}\r\nPOST /db HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n${GET}`);
        assert.equal((await wire.response()).status, 200);
        assert.equal((await wire.response({ headless: true })).status, 200);
        assert.equal((await wire.response()).status, 200);
        assert.equal((await wire.response()).json.ok, true);
        wire.destroy();
    }),
);

test(
    'HTTP/1.0',
    proxied(async (proxy) => {
        const plain = await say(proxy, `GET /db/a HTTP/1.0\r\n${HOST}\r\n`);
        assert.equal((await plain.response()).json.ok, true);
        await plain.end();
        // What comes chunked from the region must not go chunked to such a client.
        region.on('GET /db/chunked', [chunkedHead(), chunk('one '), chunk('two'), LAST_CHUNK]);
        const chunky = await say(proxy, `GET /db/chunked HTTP/1.0\r\n${HOST}\r\n`);
        const got = await chunky.response();
        assert.equal(got.framing, 'close');
        assert.equal(got.text, 'one two');
        await chunky.end();
    }),
);

test(
    'answers without a body: HEAD, 204, 304, and what follows on the connection',
    proxied(async (proxy) => {
        region.play('11-wire/keepalive-5', (asked) => asked.target === '/db/_all_docs');
        region.play('11-wire/keepalive-3', (asked) => asked.target === '/db/d1');
        region.play('03-documents/get-304', (asked) => asked.target === '/db/not-modified');
        region.on('GET /db/nothing', ['HTTP/1.1 204 No Content\r\n\r\n']);
        const wire = await Wire.connect(proxy.port);
        const ask = async (method, target) => {
            wire.send(`${method} ${target} HTTP/1.1\r\n${HOST}\r\n`);
            const got = await wire.response({ headless: method === 'HEAD' });
            wire.send(GET);
            assert.equal((await wire.response()).json.ok, true, `after ${method} ${target}`);
            return got;
        };
        const allDocs = await ask('HEAD', '/db/_all_docs');
        assert.deepEqual([allDocs.status, allDocs.header('content-length')], [200, '0']);
        const doc = await ask('HEAD', '/db/d1');
        assert.deepEqual([doc.status, doc.header('content-length')], [200, '63']);
        const unchanged = await ask('GET', '/db/not-modified');
        assert.equal(unchanged.status, 304);
        assert.match(unchanged.header('etag'), /^"4-/);
        assert.equal((await ask('GET', '/db/nothing')).status, 204);
        wire.destroy();
    }),
);

const expecting = (target, length) => `PUT ${target} HTTP/1.1\r\n${HOST}Content-Type: application/octet-stream\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

test(
    'Expect: 100-continue, granted',
    proxied(async (proxy) => {
        region.play('10-attachments/expect', (asked) => asked.target === '/db/x');
        for (let i = 0; i < 3; i += 1) {
            const wire = await say(proxy, expecting('/db/x', 5));
            const interim = await wire.response();
            assert.equal(interim.status, 100);
            // CouchDB's own interim answer says so and does not mean it.
            assert.equal(interim.header('connection'), undefined);
            wire.send('hello');
            assert.equal((await wire.response()).status, 201);
            wire.send(GET);
            assert.equal((await wire.response()).status, 200, 'the connection stays open');
            wire.destroy();
        }
        assert.equal(region.seen(/\/db\/x/)[0].body.toString(), 'hello');
    }),
);

test(
    'Expect: 100-continue, refused by the region, or unknown',
    proxied(async (proxy) => {
        region.play('10-attachments/expect-401', (asked) => asked.target === '/db/x');
        const wire = await say(proxy, expecting('/db/x', 5));
        let got = await wire.response();
        if (got.status === 100) {
            wire.send('hello'); // granted by the proxy itself
            got = await wire.response();
        }
        assert.equal(got.status, 401);
        assert.equal(got.json.error, 'unauthorized');
        wire.destroy();

        region.play('10-attachments/expect-conflict', (asked) => asked.target === '/db/y');
        const conflict = await say(proxy, expecting('/db/y', 5));
        assert.equal((await conflict.response()).status, 100);
        conflict.send('hello');
        assert.equal((await conflict.response()).status, 409);
        conflict.destroy();

        await refused(proxy, `PUT /db/a HTTP/1.1\r\n${HOST}Expect: miracles\r\nContent-Length: 2\r\n\r\n{}`, [417]);
    }),
);

test(
    'a region that answers before it read the body',
    proxied(async (proxy) => {
        region.on(/^PUT \/db\/early/, [answer(401, { error: 'unauthorized', reason: 'no' }, { headers: { Connection: 'close' } }), FIN], { early: true });
        for (const size of [10, 100_000, 3_000_000]) {
            const got = await request(`${proxy.origin}/db/early`, { method: 'PUT', body: Buffer.alloc(size, 'x') }).catch((error) => error);
            if (size < 1_000_000) {
                assert.equal(got.status, 401, `${size}: ${got}`);
            } else {
                // Our own socket may see the close while it still writes.
                assert.ok(got.status === 401 || ['EPIPE', 'ECONNRESET'].includes(got.code), `${size}: ${got.status ?? got}`);
            }
        }
    }),
);

// A small one is not begun before it is whole, unless that is turned off: then, as with a large one, the client sees the cut.
for (const [how, last] of [['closes', FIN], ['resets', RESET]]) {
    for (const kept of [true, false]) {
        test(
            `an answer cut short: the region ${how}, small answers are ${kept ? 'kept until they are whole' : 'passed on as they come'}`,
            proxied(async (proxy) => {
                const rows = {
                    length: [`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc`, { pause: 20 }, last],
                    chunk: [chunkedHead(), chunk('abc'), '10\r\nabc', { pause: 20 }, last],
                    chunks: [chunkedHead(), chunk('abc'), { pause: 20 }, last],
                    big: [chunkedHead(), chunk('x'.repeat(200_000)), { pause: 20 }, last],
                };
                for (const [name, script] of Object.entries(rows)) {
                    region.on(`GET /db/${name}`, script);
                    const wire = await say(proxy, `GET /db/${name} HTTP/1.1\r\n${HOST}\r\n${GET}`);
                    const got = await wire.response();
                    if (kept && name !== 'big') {
                        assert.deepEqual([got.status, got.json.error, got.complete], [503, 'no_region_available', true], name);
                        wire.destroy();
                        continue;
                    }
                    assert.equal(got.status, 200);
                    assert.equal(got.complete, false, `${name}: a client must be able to tell`);
                    await wire.end();
                    assert.equal(wire.bytes.length, 0, 'and no second answer behind it');
                    wire.destroy();
                }
                // A body that ends with the connection has no other end; with a reset it is not whole.
                region.on('GET /db/close', ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc', { pause: 20 }, last]);
                const wire = await say(proxy, `GET /db/close HTTP/1.1\r\n${HOST}\r\n`);
                const got = await wire.response();
                if (kept && last === RESET) {
                    assert.equal(got.status, 503);
                } else if (last === FIN) {
                    assert.equal(got.text, 'abc');
                    assert.ok(got.complete);
                } else {
                    assert.equal(got.text, 'abc');
                    assert.ok(!got.complete || got.framing === 'close');
                }
                wire.destroy();
            }, merge(limits, kept ? {} : { limits: { whole_answer_bytes: 0 } })),
        );
    }
}

test(
    'interim answers',
    proxied(async (proxy) => {
        const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
        region.on('GET /db/early', [early, { pause: 10 }, early, answer(200, { n: 1 })]);
        const wire = await say(proxy, `GET /db/early HTTP/1.1\r\n${HOST}\r\n`);
        let got = await wire.response();
        while (got.status === 103) {
            got = await wire.response();
        }
        assert.deepEqual([got.status, got.json.n], [200, 1]);
        wire.send(GET);
        assert.equal((await wire.response()).json.ok, true);
        wire.destroy();

        // An interim answer and then half of a real one, or nothing: no hang, and nothing that looks whole.
        for (const script of [[early, FIN], [early, 'HTTP/1.1 200 OK\r\nContent-Le', FIN], [early, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', { pause: 20 }, FIN]]) {
            region.on('GET /db/cut', script, { times: 10 });
            const cut = await say(proxy, `GET /db/cut HTTP/1.1\r\n${HOST}\r\n`);
            await cut.when('an end', () => cut.closed || /HTTP\/1\.1 503[^]*\r\n\r\n/.test(cut.bytes.toString('latin1')));
            const text = cut.bytes.toString('latin1').replaceAll(/HTTP\/1\.1 103[^]*?\r\n\r\n/g, '');
            assert.ok(text === '' || /^HTTP\/1\.1 (503|200) /.test(text), text);
            assert.ok(!text.startsWith('HTTP/1.1 200') || cut.closed);
            cut.destroy();
        }
    }),
);

test(
    'a region that does not speak HTTP, or speaks it falsely',
    proxied(async (proxy) => {
        const both = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
        const rows = {
            garbage: [Buffer.from('\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n', 'latin1'), FIN],
            ssh: ['SSH-2.0-x\r\n', STALL],
            'no-status': ['HTTP/1.1 \r\n\r\n', FIN],
            'two-lengths': ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', FIN],
            'length-and-chunks': [both, FIN],
            'bad-length': ['HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc', FIN],
            'endless-head': [`HTTP/1.1 200 OK\r\n${'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(20_000)}`, FIN],
            folded: ['HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
        };
        for (const [name, script] of Object.entries(rows)) {
            region.on(`GET /db/${name}`, script);
            const wire = await say(proxy, `GET /db/${name} HTTP/1.1\r\n${HOST}\r\n`);
            const got = await wire.response();
            assert.equal(got.status, 503, `${name}: ${got.line}`);
            assert.ok(got.json.error, name);
            wire.destroy();
        }
    }),
);

test(
    'an answer to a request that was never sent is not given to the next one',
    proxied(async (proxy) => {
        region.on('GET /db/twice', [answer(200, { first: true }), answer(200, { stray: true })]);
        for (let i = 0; i < 20; i += 1) {
            assert.equal((await request(`${proxy.origin}/db/twice`)).json.first, true);
            assert.equal((await request(`${proxy.origin}/db/a`)).json.ok, true);
        }
    }),
);

test(
    'a client that takes its 64 MiB slowly holds the region back, not the memory',
    proxied(async (proxy, t) => {
        const size = 64 * MIB;
        region.on('GET /db/big', [`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`, { pattern: size }]);
        const memory = proxy.child.memory();
        const wire = await Wire.connect(proxy.port);
        wire.socket.pause();
        wire.send(`GET /db/big HTTP/1.1\r\n${HOST}\r\n`);
        // The region's side of the connection is full, and stays so.
        let written = -1;
        await until('the region to be held back', async () => {
            const socket = [...region.connections].find((candidate) => candidate.bytesWritten > 100_000);
            const now = socket ? socket.bytesWritten - socket.writableLength : 0;
            const still = now > 0 && now === written;
            written = now;
            await pause(200);
            return still;
        });
        const grown = proxy.child.memory() - memory;
        t.diagnostic(`region sent ${Math.round(written / 1024)} KiB, proxy grew by ${Math.round(grown / 1024)} KiB`);
        assert.ok(written < 48 * MIB, 'most of it is still in the region');
        if (!proxy.sanitized) {
            assert.ok(grown < 16 * MIB, `grew by ${grown}`);
        }
        // And then all of it arrives, as it was.
        const hash = createHash('sha256');
        let headLeft = true;
        let length = 0;
        wire.socket.removeAllListeners('data');
        wire.socket.on('data', (bytes) => {
            let part = bytes;
            if (headLeft) {
                wire.bytes = Buffer.concat([wire.bytes, bytes]);
                const end = wire.bytes.indexOf('\r\n\r\n');
                if (end < 0) {
                    return;
                }
                headLeft = false;
                part = wire.bytes.subarray(end + 4);
            }
            hash.update(part);
            length += part.length;
        });
        wire.socket.resume();
        await until('the whole body', () => length === size);
        assert.equal(hash.digest('hex'), patternHash(size));
        wire.destroy();
    }),
);

test(
    'a region that takes a body slowly holds the client back, not the memory',
    proxied(async (proxy, t) => {
        const size = 64 * MIB;
        let open;
        const opened = new Promise((resolve) => {
            open = resolve;
        });
        region.on('PUT /db/big', () => [{ until: opened }, { body: true }, answer(201, { ok: true })], { early: true });
        const memory = proxy.child.memory();
        const wire = await say(proxy, `PUT /db/big HTTP/1.1\r\n${HOST}Content-Length: ${size}\r\n\r\n`);
        const unit = pattern(251 * 256);
        for (let left = size; left > 0; left -= unit.length) {
            wire.send(left < unit.length ? unit.subarray(0, left) : unit);
        }
        let taken = -1;
        await until('the client to be held back', async () => {
            const now = wire.socket.bytesWritten - wire.socket.writableLength;
            const still = now > 0 && now === taken;
            taken = now;
            await pause(200);
            return still;
        });
        const grown = proxy.child.memory() - memory;
        t.diagnostic(`client sent ${Math.round(taken / 1024)} KiB, proxy grew by ${Math.round(grown / 1024)} KiB`);
        if (!proxy.sanitized) {
            assert.ok(grown < 16 * MIB, `grew by ${grown}`);
        }
        open();
        assert.equal((await wire.response()).status, 201);
        assert.equal(region.seen(/big/)[0].sha256, patternHash(size));
        wire.destroy();
    }),
);

test(
    'a client that hangs up in the middle, over and over',
    proxied(async (proxy) => {
        region.on('GET /db/big', [`HTTP/1.1 200 OK\r\nContent-Length: ${8 * MIB}\r\n\r\n`, { pattern: 8 * MIB }]);
        region.on('GET /db/never', [{ pause: 50 }, STALL]);
        for (let i = 0; i < 40; i += 1) {
            const kind = i % 4;
            const wire = await Wire.connect(proxy.port);
            if (kind === 0) {
                wire.send(`GET /db/big HTTP/1.1\r\n${HOST}\r\n`);
                await wire.text(/\r\n\r\n/);
            } else if (kind === 1) {
                wire.send(`GET /db/never HTTP/1.1\r\n${HOST}\r\n`);
                await until('it to be asked', () => region.seen(/never/).length > i / 4 - 1);
            } else if (kind === 2) {
                wire.send(`PUT /db/a HTTP/1.1\r\n${HOST}Content-Length: 100000\r\n\r\n${'x'.repeat(50_000)}`);
                await pause(5);
            } else {
                wire.send(GET.repeat(20));
            }
            wire.destroy();
        }
        assert.equal((await proxy.status()).active, region.name);
    }),
);
