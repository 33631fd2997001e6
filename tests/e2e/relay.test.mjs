// davenport relay: every fault on real sockets, what is refused, and what is bounded. Times are held from below only: a fault may not
// be weaker than it says, and how much later a busy machine makes it is no fault of ours.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { FaultRelay } from '../support/fault_relay.mjs';
import { request } from '../support/http.mjs';
import { BINARY } from '../support/proxy.mjs';
import { pause, until, within } from '../support/wait.mjs';

const MIB = 1024 * 1024;
let server;
let relay;
const taken = new Set(); // connections of the server
const clients = new Set();

// Says again what it hears; "big N" gives N bytes.
function serve(socket) {
    taken.add(socket);
    socket.ended = false;
    socket.on('error', () => {});
    socket.on('close', () => taken.delete(socket));
    socket.on('end', () => {
        socket.ended = true;
        socket.end();
    });
    socket.on('data', (bytes) => {
        const big = /^big (\d+)$/.exec(bytes.toString('latin1'));
        socket.write(big ? Buffer.alloc(Number(big[1]), 'x') : bytes);
    });
}

before(async () => {
    server = net.createServer({ allowHalfOpen: true }, serve);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    relay = await FaultRelay.start(server.address().port);
});
afterEach(async () => {
    clients.forEach((client) => client.socket.destroy());
    clients.clear();
    await relay.heal();
});
after(async () => {
    await relay.stop();
    taken.forEach((socket) => socket.destroy());
    server.close();
});

class Client {
    constructor(to = relay) {
        this.bytes = Buffer.alloc(0);
        this.pieces = [];
        this.ended = false;
        this.error = null;
        this.socket = net.connect({ host: '127.0.0.1', port: to.port, allowHalfOpen: true });
        this.connected = new Promise((resolve, reject) => {
            this.socket.once('connect', resolve);
            this.socket.once('error', reject);
        });
        this.connected.catch(() => {});
        this.socket.on('error', (error) => {
            this.error = error.code;
        });
        this.socket.on('end', () => {
            this.ended = true;
        });
        this.socket.on('data', (bytes) => {
            this.bytes = Buffer.concat([this.bytes, bytes]);
            this.pieces.push({ n: bytes.length, at: performance.now() });
        });
        clients.add(this);
    }

    // Say it, and hear it again.
    async echo(text) {
        const had = this.bytes.length;
        const began = performance.now();
        this.socket.write(text);
        await until(`an echo of ${text.length} bytes`, () => this.bytes.length >= had + text.length);
        assert.equal(this.bytes.subarray(had).toString(), text);
        return performance.now() - began;
    }

    async big(n) {
        const began = performance.now();
        this.socket.write(`big ${n}`);
        await until(`${n} bytes`, () => this.bytes.length >= n);
        return performance.now() - began;
    }
}

async function connect() {
    const client = new Client();
    await within('a connection', client.connected);
    return client;
}

test('without faults it passes all, both ways, and ends too', async () => {
    const client = await connect();
    await client.echo('hello');
    await client.big(5 * MIB);
    client.socket.end();
    await until('the end to come back', () => client.ended);
    assert.equal(client.error, null);
    await until('its connection to be gone', async () => (await relay.state()).connections.open === 0);
});

test('latency makes every round trip later, in order', async () => {
    await relay.break({ kind: 'latency', ms: 120, jitter_ms: 20 });
    const client = await connect();
    assert.ok((await client.echo('a')) >= 99);
    const words = Array.from({ length: 50 }, (_, i) => `word ${i};`);
    words.forEach((word) => client.socket.write(word));
    const all = `a${words.join('')}`;
    await until('all of them', () => client.bytes.length >= all.length);
    assert.equal(client.bytes.toString(), all);
    await relay.break({ kind: 'latency', ms: 120, direction: 'both' });
    assert.ok((await client.echo('b')) >= 239);
});

test('a bandwidth is not exceeded', async () => {
    await relay.break({ kind: 'bandwidth', bytes_per_s: 400_000, direction: 'to_client' });
    const client = await connect();
    assert.ok((await client.big(200_000)) >= 450);
});

test('slices are small, and apart', async () => {
    await relay.break({ kind: 'slice', bytes: 10, delay_ms: 30, direction: 'to_client' });
    const client = await connect();
    assert.ok((await client.echo('0123456789'.repeat(5))) >= 4 * 29);
});

test('in a blackhole nothing passes until it is healed, and then nothing is missing', async () => {
    const old = await connect();
    await old.echo('before');
    await relay.break({ kind: 'blackhole' });
    const fresh = await connect(); // the kernel takes it; nobody answers
    old.socket.write(' within');
    fresh.socket.write('asked within');
    old.socket.end();
    const state = await relay.state();
    assert.equal(state.bytes.to_client, (await relay.state()).bytes.to_client);
    await pause(150);
    assert.equal(old.bytes.toString(), 'before');
    assert.equal(fresh.bytes.length, 0);
    assert.equal(old.ended, false);
    await relay.heal('blackhole');
    await until('what waited', () => old.bytes.toString() === 'before within' && fresh.bytes.toString() === 'asked within');
    await until('the end that waited', () => old.ended);
});

test('a blackhole one way holds only that', async () => {
    const client = await connect();
    await client.echo('x');
    const [socket] = [...taken].slice(-1);
    let heard = '';
    socket.on('data', (bytes) => {
        heard += bytes;
    });
    await relay.break({ kind: 'blackhole', direction: 'to_client' });
    client.socket.write('question');
    await until('the server to hear it', () => heard === 'question');
    assert.equal(client.bytes.toString(), 'x');
});

test('a fault heals by itself', async () => {
    const told = await relay.break({ kind: 'blackhole', for_ms: 200 });
    assert.equal(told.faults[0].kind, 'blackhole');
    assert.ok(told.faults[0].ends_in_ms <= 200);
    const client = await connect();
    await client.echo('late');
    assert.deepEqual((await relay.state()).faults, []);
});

test('what is cut ends there', async () => {
    await relay.break({ kind: 'cut', bytes: 100 });
    const client = await connect();
    await client.echo('short ones pass');
    client.socket.write('big 5000');
    await until('its end', () => client.ended);
    assert.equal(client.bytes.length, 'short ones pass'.length + 100);
    assert.equal((await relay.state()).cut, 1);
});

test('half open: one end is closed, the other never hears of it, new ones work', async () => {
    const client = await connect();
    await client.echo('x');
    const [socket] = [...taken].slice(-1);
    await relay.break({ kind: 'half_open' });
    await until('the server to see the end', () => socket.ended || socket.destroyed);
    client.socket.write('anybody?');
    const fresh = await connect();
    await fresh.echo('works');
    assert.equal(client.bytes.toString(), 'x');
    assert.equal(client.ended || client.error !== null, false);
    const { connections, faults } = await relay.state();
    assert.equal(connections.half_opened, 1);
    assert.deepEqual(faults, []);
    client.socket.destroy();
    await until('the half to be gone', async () => (await relay.state()).connections.open === 1);
});

test('half open the other way: the server is not told', async () => {
    const client = await connect();
    await client.echo('x');
    const [socket] = [...taken].slice(-1);
    await relay.break({ kind: 'half_open', direction: 'to_client' });
    await until('the client to see the end', () => client.ended || client.error !== null);
    assert.equal(socket.ended, false);
    assert.equal(socket.destroyed, false);
});

test('reset: those that stand, and each new one', async () => {
    const client = await connect();
    await client.echo('x');
    await relay.break({ kind: 'reset' });
    await until('a reset', () => client.error === 'ECONNRESET');
    const fresh = new Client();
    await until('another', () => fresh.error === 'ECONNRESET');
    await relay.heal();
    await (await connect()).echo('again');
});

test('refuse: new ones only', async () => {
    const client = await connect();
    await relay.break({ kind: 'refuse' });
    const fresh = new Client();
    await until('a refusal', () => fresh.error === 'ECONNREFUSED');
    await client.echo('still here');
    await relay.heal('refuse');
    await (await connect()).echo('on the same port');
});

test('a server that is not there: the connection is reset', async () => {
    const gone = net.createServer();
    await new Promise((resolve) => gone.listen(0, '127.0.0.1', resolve));
    const { port } = gone.address();
    await new Promise((resolve) => gone.close(resolve));
    const alone = await FaultRelay.start(port);
    const client = new Client(alone);
    await until('a reset', () => client.error === 'ECONNRESET');
    assert.equal((await alone.state()).connections.unreached, 1);
    await alone.stop();
});

test('what waits is bounded, and so are connections', async () => {
    const small = await FaultRelay.start(server.address().port, ['--connections', '2', '--buffer-bytes', '100000']);
    await small.break({ kind: 'latency', ms: 3_600_000 });
    const first = new Client(small);
    await within('a connection', first.connected);
    const before = small.child.memory();
    first.socket.write(`big ${64 * MIB}`);
    await until('the server to be held up', () => [...taken].some((socket) => socket.writableNeedDrain));
    await pause(300);
    assert.ok(small.child.memory() - before < 16 * MIB, 'it keeps what it has no room for');
    const second = new Client(small);
    await within('a second connection', second.connected);
    const third = new Client(small);
    await until('a third one to be reset', () => third.error === 'ECONNRESET');
    assert.equal((await small.state()).connections.open, 2);
    await small.stop();
});

test('many at once, through jitter and slices', async () => {
    await relay.break({ kind: 'latency', ms: 20, jitter_ms: 20, direction: 'both' });
    await relay.break({ kind: 'slice', bytes: 1000, delay_ms: 1 });
    const all = await Promise.all(Array.from({ length: 60 }, connect));
    await Promise.all(all.map((client, i) => client.echo(`client ${i} `.repeat(500))));
});

test('the admin address refuses what it should', async () => {
    const guard = { 'Davenport-Admin': '1' };
    const at = `${relay.admin}/fault`;
    const asked = async (method, options) => (await request(options?.at ?? at, { method, headers: guard, ...options })).status;
    assert.equal(await asked('PUT', { json: { kind: 'reset' }, headers: {} }), 403);
    assert.equal(await asked('PUT', { json: { kind: 'reset' }, headers: { ...guard, host: 'example.com' } }), 403);
    assert.equal(await asked('PUT', { json: { kind: 'tired' } }), 400);
    assert.equal(await asked('PUT', { body: '{' }), 400);
    assert.equal(await asked('POST', { json: {} }), 405);
    assert.equal(await asked('DELETE', { at: `${at}/tired` }), 404);
    assert.equal(await asked('GET', { at: `${relay.admin}/status` }), 404);
    assert.equal(await asked('POST', { at: `${relay.admin}/` }), 405);
    assert.deepEqual((await relay.state()).faults, []);
});

test('the command line says what is wrong', () => {
    const said = (...args) => {
        const { status, stderr } = spawnSync(BINARY, ['relay', ...args], { encoding: 'utf8' });
        assert.equal(status, 2);
        return stderr;
    };
    assert.match(said(), /--to HOST:PORT is needed/);
    assert.match(said('--to', 'nowhere'), /--to takes HOST:PORT, not nowhere/);
    assert.match(said('--to', '127.0.0.1:0'), /--to takes HOST:PORT/);
    assert.match(said('--to', '127.0.0.1:1', '--listen', 'localhost.invalid:1'), /--listen localhost\.invalid:1: /);
    assert.match(said('--to', '127.0.0.1:1', '--connections', '0'), /--connections takes a whole number from 1/);
    assert.match(said('--to', '127.0.0.1:1', '--admin', '127.0.0.1'), /--admin: /);
    assert.match(said('--to', '127.0.0.1:1', '--fault', '{"kind":"x"}'), /--fault: kind must be one of latency/);
});
