// The table of docs/http.md, case by case, on raw sockets. A case is data:
//
//   name, rfc     what it is about, and the section that says so
//   client        a string, or steps: string, {until: 'head' | 'origin'}, {fin: true}, {reset: true}
//   origin        steps of the region's answer (see origin.mjs); without it: 200 with the body "ok"
//   origin_early  the region answers as soon as it has the head
//   greets        what the region says first on every connection, before it is asked
//   proxy         'short': the proxy with short time limits for clients. 'mute': that with short ones for regions. 'strict': with a least rate, and two requests a connection. 'naming': the one that adds all that can be added to a
//                 message. 'bare': the one that takes all of it out, and ignores upgrades. Else the patient one, which adds no names
//                 'full': the one with room for three connections, two an address, one to the region and none in line. 'line': one with a line
//   from          the client's address; 127.0.0.1
//   beside        other clients of that proxy, there before: {from, asks}; asks: the target of a request that the region must have first
//   whole         not once more byte by byte (it is long, or about time)
//   expect:
//     refused     our own answer with this status, complete, with Connection: close; then the end. A request
//                 behind it (the suite adds one) is neither answered nor forwarded
//     then_refused  the default answer, then our own with this status and the end
//     status      our own or a region's answer with this status; complete
//     answer      exactly these bytes reach the client; without refused, status or this: the default answer
//     silent      the connection ends without a byte
//     headless    the answer has no body whatever it says: to HEAD
//     keeps       true (default, but after refused): the same connection answers another request
//     ends        'fin' or 'rst', with keeps: false
//     gone        nothing more is expected of the client's side: it has left
//     seen        exactly these requests reach the region; seen_has, seen_lacks: patterns instead
//     seen_whole  so many of them are whole
//     unfinished  what reaches the region is not a whole request
//     origin_kept true, false: the region's connection is used for the next request, or is not
//     after_origin  the next request comes when the region has gone through its whole script, to its close
//     has, lacks  patterns of what the client sees
//
// A Date of this millennium, which no case can know, is not in what the client is said to see, but for has and lacks.
//
// Each runs whole and then byte by byte in both directions. After each, another client asks GET /canary and
// must be given its own answer and nothing else.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Proxy } from '../support/proxy.mjs';
import { reset } from '../support/sockets.mjs';
import { until } from '../support/wait.mjs';
import { parseResponse } from '../support/wire.mjs';
import { AFTER, CANARY, forwarded, get, OK } from './bytes.mjs';
import { ExactOrigin } from './origin.mjs';
import { Stage, write } from './stage.mjs';

const FILES = ['lines', 'fields', 'framing', 'chunks', 'connections', 'forwarding', 'names', 'trailers', 'limits', 'answers', 'bodies'];
const CASES = (await Promise.all(FILES.map((file) => import(`./cases/${file}.mjs`)))).flatMap((module) => module.CASES);
const SMUGGLED = get('', '/smuggled');

const PATIENT = {
    probe: { interval_ms: 60_000, fast_interval_ms: 1_000, fall: 100 },
    timeouts: { head_ms: 30_000, body_ms: 30_000, answer_ms: 30_000, stall_ms: 30_000, connect_ms: 10_000, try_ms: 300 }, // try_ms: what is kept of an answer that stalls goes on then
    headers: { request_id: 'pass', region: 'no', attempts: 'no' },
    sequences: { tag: 'no' }, // its answers are not of CouchDB: what is rewritten in those is another matter
    limits: { head_bytes: 4_096, target_bytes: 1_024, headers: 16, body_bytes: 4_096, upstream_warm: 0 },
    // Faults and stalls of the only region, one after the other, are what this suite is made of.
    traffic: { failures: 1_000, window_requests: 0, late_ms: 0, slow_ms: 0 },
    hold: { ms: 0 },
};
// Who is waited for is one of them: the other is never too late.
const SHORT = { ...PATIENT, timeouts: { ...PATIENT.timeouts, head_ms: 700, body_ms: 700, idle_ms: 900 } };
const MUTE = { ...PATIENT, timeouts: { ...PATIENT.timeouts, answer_ms: 700, stall_ms: 700 } };

const NAMING = { ...PATIENT, headers: { ...PATIENT.headers, request_id: 'make', traceparent: 'make', forwarded: 'add', x_forwarded: 'replace', via_answers: 'yes' } };
const BARE = { ...PATIENT, headers: { ...PATIENT.headers, request_id: 'remove', traceparent: 'remove', forwarded: 'remove', x_forwarded: 'remove', upgrade: 'ignore' } };

const STRICT = { ...PATIENT, timeouts: { ...PATIENT.timeouts, rate_window_ms: 1_000 }, limits: { ...PATIENT.limits, min_bytes_per_s: 1_000, requests_per_connection: 2 } };

const FULL = { ...PATIENT, limits: { ...PATIENT.limits, connections: 3, connections_per_address: 2, upstream: 1, upstream_idle: 1, waiting: 0 } };
const LINE = { ...PATIENT, timeouts: { ...PATIENT.timeouts, connect_ms: 2_000, waiting_ms: 2_100 }, limits: { ...PATIENT.limits, upstream: 1, upstream_idle: 1 } };

const stage = new Stage();
const proxies = {};
let origin;

before(async () => {
    origin = await ExactOrigin.start(stage);
    proxies.patient = await Proxy.start([origin], PATIENT);
    proxies.short = await Proxy.start([origin], SHORT);
    proxies.mute = await Proxy.start([origin], MUTE);
    proxies.strict = await Proxy.start([origin], STRICT);
    proxies.naming = await Proxy.start([origin], NAMING);
    proxies.bare = await Proxy.start([origin], BARE);
    proxies.full = await Proxy.start([origin], FULL);
    proxies.line = await Proxy.start([origin], LINE);
});

class Client {
    constructor(port, localAddress) {
        Object.assign(this, { raw: '', how: null });
        this.socket = net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true, noDelay: true });
        this.socket.on('data', (bytes) => {
            this.raw += bytes.toString('latin1');
            stage.changed();
        });
        const ended = (how) => {
            this.how ??= how;
            stage.changed();
        };
        this.socket.on('end', () => ended('fin'));
        this.socket.on('error', (error) => ended(error.code === 'ECONNRESET' ? 'rst' : error.code));
        this.socket.on('close', () => ended('closed'));
    }

    get text() {
        return this.raw.replace(/^Date: \w{3}, \d\d \w{3} 2\d{3} \d\d:\d\d:\d\d GMT\r\n/gm, '');
    }

    async perform(steps, bytewise) {
        for (const step of steps) {
            if (typeof step === 'string') {
                await write(this.socket, step, bytewise);
            } else if (step.until === 'head') {
                await this.when('a head', () => this.text.includes('\r\n\r\n'));
            } else if (step.until === 'origin') {
                await this.when('the region to see something', () => origin.seen.length > 0);
            } else if (step.fin) {
                this.socket.end();
            } else if (step.reset) {
                reset(this.socket);
            } else {
                throw new Error(`unknown step ${JSON.stringify(step)}`);
            }
        }
    }

    when(what, condition) {
        return stage.when(what, condition).catch((error) => {
            throw new Error(`${error.message}; the client saw ${JSON.stringify(this.text.slice(0, 600))} ${this.how ?? ''}`);
        });
    }

    // The answer is there: as long as expected, whole, or the connection has ended.
    async answered(expected, headless) {
        await this.when('an answer', () => {
            if (this.how) {
                return true;
            }
            return this.parsed(headless) && this.text.length >= (expected?.length ?? 0);
        });
    }

    // The first final answer; closed: with no more to come.
    parsed(headless, closed = this.how !== null) {
        const final = this.text.replace(/^(HTTP\/1\.1 1\d\d [^]*?\r\n\r\n)+/, '');
        const response = parseResponse(Buffer.from(final, 'latin1'), { closed, headless });
        if (!response) {
            return null;
        }
        const { status, complete, body, length } = response;
        return { status, complete, body: body.toString('latin1'), rest: final.slice(length) };
    }

    bodySoFar() {
        return this.parsed(false, true)?.body;
    }

    end() {
        return this.when('the end of the connection', () => this.how);
    }
}

// Where chunks are cut says nothing: as one, then how they end.
function unchunked(text) {
    const head = /^[^]*?\r\nTransfer-Encoding: chunked\r\n(.+\r\n)*\r\n/.exec(text)?.[0];
    if (head === undefined) {
        return text;
    }
    let body = '';
    for (let at = head.length; ; ) {
        const line = /^([0-9a-f]+)\r\n/.exec(text.slice(at));
        if (!line) {
            return `${head}<${body}> and ${JSON.stringify(text.slice(at))}`;
        }
        at += line[0].length;
        const size = parseInt(line[1], 16);
        if (size === 0 || text.slice(at + size, at + size + 2) !== '\r\n') {
            return `${head}<${body}> then ${size === 0 ? 'its end' : 'a cut'}, ${JSON.stringify(text.slice(at))}`;
        }
        body += text.slice(at, at + size);
        at += size + 2;
    }
}

const exactly = (text) => text.replaceAll('{origin}', origin.host);

async function checkRefused(client, expect) {
    await client.end();
    const got = client.parsed(expect.headless);
    assert.ok(got, `no answer: ${JSON.stringify(client.text)} ${client.how}`);
    assert.equal(got.status, expect.refused, client.text);
    assert.equal(got.rest, '', 'one answer only');
    assert.ok(got.complete);
    assert.match(client.text, /\r\nConnection: close\r\n/);
    if (!expect.headless) {
        assert.ok(JSON.parse(got.body).error && JSON.parse(got.body).reason, 'an error in the form of CouchDB');
    }
    assert.equal(client.how, 'fin');
}

async function checkThenRefused(client, expect) {
    await client.end();
    assert.ok(client.text.startsWith(OK), client.text);
    client.raw = client.text.slice(OK.length);
    await checkRefused(client, { ...expect, refused: expect.then_refused });
}

async function checkAnswered(client, expect) {
    const expected = expect.answer ?? (expect.status === undefined ? OK : undefined);
    const keeps = expect.keeps ?? true;
    if (keeps) {
        await client.answered(expected, expect.headless);
        if (expect.after_origin) {
            await stage.when('the region to have said all', () => origin.seen.every((message) => !message.link.busy && message.link.closed));
        }
        await client.perform([get('', '/after')]);
    }
    if (expected !== undefined) {
        await client.when('all of it', () => client.how || (keeps && client.text.endsWith(AFTER)));
        assert.equal(unchunked(client.text), unchunked(keeps ? expected + AFTER : expected));
    } else {
        await client.when('all of it', () => client.how || (keeps && client.text.endsWith(AFTER)));
        const got = client.parsed(expect.headless);
        assert.ok(got, `no answer: ${JSON.stringify(client.text)} ${client.how}`);
        assert.equal(got.status, expect.status, client.text);
        assert.ok(got.complete);
        assert.equal(got.rest, keeps ? AFTER : '');
    }
    if (!keeps) {
        assert.equal(client.how, expect.ends ?? 'fin');
    }
}

function checkSeen(expect) {
    const seen = origin.seen;
    if (expect.seen) {
        assert.deepEqual(
            seen.map((message) => unchunked(message.text)),
            expect.seen.map((text) => unchunked(exactly(text))),
            'what the region saw',
        );
        assert.ok(seen.every((message) => message.whole) || expect.unfinished);
    }
    if (expect.seen_whole !== undefined) {
        assert.equal(seen.filter((message) => message.whole).length, expect.seen_whole, 'whole requests at the region');
    }
    const all = seen.map((message) => message.text).join('');
    for (const pattern of expect.seen_has ?? []) {
        assert.match(all, pattern);
    }
    for (const pattern of [/smuggled/, ...(expect.seen_lacks ?? [])]) {
        assert.doesNotMatch(all, pattern);
    }
    if (expect.unfinished) {
        assert.ok(seen.length > 0 && seen.every((message) => !message.whole), 'no region takes it for a whole request');
    }
}

// Another client is served, by the proxy that waits for it, on a connection that nothing of the last case is left on.
async function checkNext(expect) {
    const before = origin.seen.at(-1)?.link;
    origin.kase = null;
    const client = new Client(proxies.patient.port);
    await client.perform([get('', '/canary')]);
    await client.answered(CANARY);
    assert.equal(client.text, CANARY, 'the next client has its own answer');
    client.socket.destroy();
    const asked = origin.messages.filter((message) => message.text.startsWith('GET /canary '));
    assert.deepEqual(asked.map((message) => message.text), [exactly(forwarded('GET /canary'))]);
    if (expect.origin_kept !== undefined) {
        assert.equal(asked[0].link === before, expect.origin_kept, 'the connection to the region was kept');
    }
    if (expect.origin_kept === false) { // by whichever proxy it was
        await stage.when('the connection to the region to end', () => before.closed);
    }
}

// The clients that are there before the case's own, each known to the proxy before the next one comes.
async function gather(proxy, beside = []) {
    const open = (n) => until(`${n} connections`, async () => (await proxy.metric('davenport_client_connections_open')) === n);
    const clients = [];
    if (beside.length > 0) {
        await open(0);
    }
    for (const { from, asks } of beside) {
        const client = new Client(proxy.port, from);
        clients.push(client);
        await open(clients.length);
        if (asks) {
            await client.perform([get('', asks)]);
            await stage.when('the region to have been asked', () => origin.seen.some((message) => message.text.includes(` ${asks} `)));
        }
    }
    return clients;
}

async function run(kase, bytewise) {
    const { expect } = kase;
    const proxy = proxies[kase.proxy ?? 'patient'];
    if (kase.greets) {
        await origin.refresh();
    }
    origin.begin(kase, bytewise, null);
    const beside = await gather(proxy, kase.beside);
    const client = new Client(proxy.port, kase.from);
    origin.client = client;
    stage.changed();
    try {
        const steps = [kase.client].flat();
        const tail = expect.refused !== undefined && !kase.alone ? [SMUGGLED] : [];
        await client.perform([...steps, ...tail], bytewise);
        if (expect.refused !== undefined) {
            await checkRefused(client, expect);
        } else if (expect.then_refused !== undefined) {
            await checkThenRefused(client, expect);
        } else if (expect.silent) {
            await client.end();
            assert.equal(client.text, '');
        } else if (!expect.gone) {
            await checkAnswered(client, expect);
        }
        for (const pattern of expect.has ?? []) {
            assert.match(client.raw, pattern);
        }
        for (const pattern of expect.lacks ?? []) {
            assert.doesNotMatch(client.raw, pattern);
        }
        if (expect.unfinished) {
            await stage.when('the region to see the cut', () => origin.seen.length > 0 && origin.seen.every((message) => message.link.closed));
        }
        checkSeen(expect);
    } finally {
        [client, ...beside].forEach((one) => one.socket.destroy());
    }
    await checkNext(expect);
}

for (const kase of CASES) {
    test(`${kase.name} (${kase.rfc})`, async () => {
        await run(kase, false);
        if (!kase.whole && !kase.proxy) {
            await run(kase, true);
        }
    });
}

test('there are as many cases as there should be, each with a name of its own', () => {
    assert.ok(CASES.length >= 250, `${CASES.length} cases`);
    assert.equal(new Set(CASES.map((kase) => kase.name)).size, CASES.length);
    assert.ok(CASES.every((kase) => kase.rfc && kase.expect));
});

after(async () => {
    // Nothing is left of any of them, and no sanitizer had anything to say.
    for (const proxy of Object.values(proxies)) {
        const { totals } = await proxy.status();
        assert.deepEqual([totals.requests_active, totals.buffer_chunks], [0, 0]);
        await proxy.stop();
    }
    await origin.close();
});
