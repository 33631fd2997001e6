// Bodies of more than 4 GiB, up and down, by length and in one chunk: every byte at its place, at the speed of the slower side,
// within the memory that docs/http.md states. And sides that take nothing, or give little.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Proxy } from '../support/proxy.mjs';
import { pickPort } from '../support/sockets.mjs';
import { atExit, LIMIT_MS, until, within } from '../support/wait.mjs';

const KIB = 1 << 10;
const MIB = 1 << 20;
const BLOCK = 64 * KIB;
const CHUNK = 16 * KIB; // what davenport_buffer_bytes is made of
const SIZE = 2 ** 32 + 54_321;

// docs/http.md, "Memory": what waits of one body (with a chunk at either end that is not full), what is kept of one that is sent
// for the case that it must be sent again, and what the process may grow by beside.
const BODY_BOUND = 384 * KIB + 2 * CHUNK;
const REPLAY_BOUND = 64 * KIB;
const PROCESS_BOUND = 8 * MIB;

// Every block is told from all others by its number, and every byte in it by its place.
class Blocks {
    constructor() {
        this.bytes = Buffer.alloc(BLOCK);
        for (let i = 0; i < BLOCK; i += 1) {
            this.bytes[i] = (7 * i + 13) % 251;
        }
        this.at = 0; // how much of the whole was gone through
    }

    // Write the block at `this.at` into `to`.
    fill(to) {
        this.bytes.writeDoubleLE(this.at);
        this.bytes.copy(to);
        this.at += BLOCK;
    }

    // What came next; throws at the first byte that is another.
    check(part) {
        for (let from = 0; from < part.length; ) {
            const within_block = this.at % BLOCK;
            if (within_block === 0) {
                this.bytes.writeDoubleLE(this.at);
            }
            const n = Math.min(part.length - from, BLOCK - within_block);
            if (part.compare(this.bytes, within_block, within_block + n, from, from + n) !== 0) {
                throw new Error(`a byte near ${this.at} is wrong`);
            }
            this.at += n;
            from += n;
        }
    }
}

// `size` bytes of blocks, no faster than they are taken.
async function pour(socket, size) {
    const blocks = new Blocks();
    const bytes = Buffer.alloc(MIB);
    const gone = new Promise((_, reject) => socket.once('close', () => reject(new Error(`closed after ${blocks.at} bytes`))));
    gone.catch(() => {});
    while (blocks.at < size) {
        const n = Math.min(MIB, size - blocks.at);
        for (let i = 0; i < n; i += BLOCK) {
            blocks.fill(bytes.subarray(i));
        }
        // The next fill waits for this write, so the bytes stay what they are as long as it needs them.
        await Promise.race([gone, new Promise((resolve) => socket.write(bytes.subarray(0, n), resolve))]);
    }
}

// Head, body and end of a message as one length or as one chunk says it.
const FRAMES = {
    'a length': { field: `Content-Length: ${SIZE}`, before: '', behind: '' },
    'one chunk': { field: 'Transfer-Encoding: chunked', before: `${SIZE.toString(16)}\r\n`, behind: '\r\n0\r\n\r\n' },
};

async function send(socket, line, frame, size = SIZE) {
    socket.write(`${line}\r\n${frame.field}\r\n\r\n${frame.before}`);
    await pour(socket, size);
    socket.write(frame.behind);
}

// What came in a message's body, checked as it comes.
function receive(message) {
    const blocks = new Blocks();
    return new Promise((resolve, reject) => {
        message.on('data', (part) => {
            try {
                blocks.check(part);
            } catch (error) {
                message.destroy(error);
            }
        });
        message.on('error', reject);
        message.on('end', () => resolve(blocks.at));
    });
}

// The region: each case says what it does with a request.
class Region {
    static async start() {
        const region = new Region();
        region.port = await pickPort();
        await new Promise((resolve) => region.server.listen(region.port, '127.0.0.1', resolve));
        return Object.assign(region, { name: 'huge', origin: `http://127.0.0.1:${region.port}`, probePath: '/_up' });
    }

    constructor() {
        this.serve = null;
        this.server = http.createServer({ requestTimeout: 0, headersTimeout: 0 }, (req, res) => {
            if (req.url === '/_up') {
                res.end('{"status":"ok"}');
            } else {
                this.serve(req, res);
            }
        });
        atExit(() => this.server.closeAllConnections());
    }

    close() {
        this.server.closeAllConnections();
        return new Promise((resolve) => this.server.close(resolve));
    }
}

let region;
let proxy;

before(async () => {
    region = await Region.start();
    // Nobody here is late: who sits still does so for as long as it is looked at, and a probe finds this process at work.
    const limits = { body_ms: 0, stall_ms: 0, answer_ms: 0 };
    proxy = await Proxy.start([region], { timeouts: limits, limits: { replay_body_bytes: REPLAY_BOUND }, probe: { interval_ms: 60_000, fast_interval_ms: 60_000, timeout_ms: 60_000, fall: 100 } });
    region.serve = (req, res) => res.end('ok');
    assert.equal((await fetch(`${proxy.origin}/db/warm`)).status, 200);
});

after(async () => {
    await proxy.stop();
    await region.close();
});

// The most that the process had in its memory during `work` beyond what it had before.
async function bounded(t, bound, work) {
    const from = proxy.child.memory('VmHWM');
    const begun = Date.now();
    await work();
    const grown = proxy.child.memory('VmHWM') - from;
    t.diagnostic(`memory grew by ${Math.round(grown / KIB)} KiB in ${Date.now() - begun} ms`);
    if (!proxy.sanitized) {
        assert.ok(grown < bound, `memory grew by ${grown} bytes`);
    }
}

async function buffered() {
    return (await proxy.metric('davenport_buffer_chunks')) * CHUNK;
}

const connect = () => net.connect({ port: proxy.port, host: '127.0.0.1', noDelay: true });

// The client's request and answer, its body by `body`.
const get = () => new Promise((resolve, reject) => {
    http.get(`${proxy.origin}/db/huge`, { agent: false }, resolve).on('error', reject);
});

for (const [how, frame] of Object.entries(FRAMES)) {
    test(`more than 4 GiB up, as ${how}`, (t) => bounded(t, PROCESS_BOUND, async () => {
        const seen = new Promise((resolve, reject) => {
            region.serve = (req, res) => receive(req).then((n) => {
                res.end('stored');
                resolve({ n, headers: req.headers });
            }).catch(reject);
        });
        const socket = connect();
        let answer = '';
        const ended = new Promise((resolve, reject) => socket.on('data', (part) => { answer += part; }).on('end', resolve).on('error', reject));
        await send(socket, 'PUT /db/huge HTTP/1.1\r\nHost: h\r\nConnection: close', frame);
        const { n, headers } = await within('the region to have it all', seen, 3 * LIMIT_MS);
        assert.equal(n, SIZE);
        assert.equal(headers['content-length'], frame.before ? undefined : String(SIZE));
        await within('the answer', ended);
        assert.match(answer, /^HTTP\/1.1 200 [^]*stored/);
    }));

    test(`more than 4 GiB down, as ${how}`, (t) => bounded(t, PROCESS_BOUND, async () => {
        let failed;
        region.serve = (req, res) => send(res.socket, 'HTTP/1.1 200 OK\r\nConnection: close', frame).then(() => res.socket.end(), (error) => { failed = error; });
        const answer = await get();
        assert.equal(answer.headers['content-length'], frame.before ? undefined : String(SIZE));
        const n = await within('the client to have it all', receive(answer), 3 * LIMIT_MS);
        assert.equal(failed, undefined);
        assert.equal(n, SIZE);
    }));
}

// A side that takes nothing stops the other one: `moved()` stands still while something is kept here. Gives how much that is.
async function untilStill(what, moved) {
    let last = -1;
    let same = 0;
    return until(`${what} to stand still`, async () => {
        same = moved() === last ? same + 1 : 0;
        last = moved();
        return last > 0 && same >= 10 && buffered();
    });
}

const MANY = 32;
const PART = 64 * MIB; // more than the kernel's buffers and ours hold

test(`${MANY} clients that read nothing of large answers, and then all of it`, (t) => bounded(t, MANY * BODY_BOUND + PROCESS_BOUND, async () => {
    let sent = 0;
    region.serve = (req, res) => {
        res.socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${PART}\r\n\r\n`);
        const before = res.socket.bytesWritten;
        let told = 0;
        const look = () => {
            const now = res.socket.bytesWritten - res.socket.writableLength - before;
            sent += now - told;
            told = now;
        };
        const timer = setInterval(look, 5);
        pour(res.socket, PART).catch(() => {}).finally(() => {
            look();
            clearInterval(timer);
            res.socket?.end();
        });
    };
    const answers = await Promise.all(Array.from({ length: MANY }, get)); // paused until somebody listens
    const kept = await untilStill('the regions', () => sent);
    assert.ok(sent < MANY * PART, 'nobody waits for who reads');
    t.diagnostic(`${Math.round(kept / KIB)} KiB in buffers for ${MANY} answers`);
    assert.ok(kept <= MANY * BODY_BOUND, `${kept} bytes in buffers`);
    const got = await within('all clients to have it all', Promise.all(answers.map(receive)), 3 * LIMIT_MS);
    assert.deepEqual(got, Array(MANY).fill(PART));
    await until('the buffers to be given back', async () => (await buffered()) === 0);
}));

test(`a region that reads nothing of ${MANY} large requests, and then all of them`, (t) => bounded(t, MANY * (BODY_BOUND + REPLAY_BOUND) + PROCESS_BOUND, async () => {
    const held = [];
    region.serve = (req, res) => held.push({ req, res });
    const sockets = Array.from({ length: MANY }, connect);
    const answers = sockets.map((socket) => new Promise((resolve, reject) => {
        let text = '';
        socket.on('data', (part) => { text += part; }).on('end', () => resolve(text)).on('error', reject);
    }));
    const sending = sockets.map((socket, i) => send(socket, `PUT /db/${i} HTTP/1.1\r\nHost: h\r\nConnection: close`, { field: `Content-Length: ${PART}`, before: '', behind: '' }, PART));
    const moved = () => sockets.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0);
    await until('the region to see all of them', () => held.length === MANY);
    const kept = await untilStill('the clients', moved);
    t.diagnostic(`${Math.round(kept / KIB)} KiB in buffers for ${MANY} requests`);
    // Of all of them more has passed than is kept to be sent again, whatever the kernel took: by now nothing is.
    assert.ok(kept <= MANY * BODY_BOUND, `${kept} bytes in buffers`);
    held.forEach(({ req, res }) => receive(req).then((n) => res.end(String(n)), (error) => res.end(String(error))));
    const texts = await within('all of them to be answered', Promise.all(answers), 3 * LIMIT_MS);
    await Promise.all(sending);
    assert.ok(texts.every((text) => text.endsWith(`\r\n${PART}`) || text.includes(`\r\n${PART}\r\n`)), texts[0]);
    await until('the buffers to be given back', async () => (await buffered()) === 0);
}));

// A side that gives little: each piece is across before the next one comes, and nothing is kept.
test('a client and a region that write a little at a time', (t) => bounded(t, PROCESS_BOUND, async () => {
    const PIECES = 200;
    const piece = Buffer.alloc(1_000, 'x');
    let arrived = 0;
    let came;
    const step = async (write, total) => {
        const there = new Promise((resolve) => { came = () => arrived === total && resolve(); });
        write(piece);
        came();
        await within('a piece', there);
    };
    region.serve = async (req, res) => {
        req.on('data', (part) => { arrived += part.length; came?.(); });
        await new Promise((resolve) => req.on('end', resolve));
        arrived = 0;
        res.writeHead(200, { 'content-length': PIECES * piece.length });
        for (let i = 1; i <= PIECES; i += 1) {
            await step((bytes) => res.write(bytes), i * piece.length);
        }
        res.end();
    };
    const req = http.request(`${proxy.origin}/db/slow`, { method: 'PUT', agent: false, headers: { 'content-length': PIECES * piece.length } });
    const answered = new Promise((resolve, reject) => req.on('response', resolve).on('error', reject));
    for (let i = 1; i <= PIECES; i += 1) {
        await step((bytes) => req.write(bytes), i * piece.length);
    }
    req.end();
    const answer = await answered;
    answer.on('data', (part) => { arrived += part.length; came?.(); });
    await within('its end', new Promise((resolve, reject) => answer.on('end', resolve).on('error', reject)));
    assert.equal(arrived, PIECES * piece.length);
    await until('nothing to be kept', async () => (await buffered()) === 0);
}));
