// Where applications connect: Unix sockets, IPv6 and both, PROXY headers, by TLS too; and how many may, how often.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { calm } from '../support/calm.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { scratch, until, within } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

const folder = scratch('listeners');
const authority = new Authority();
const server = authority.leaf('localhost', 'DNS:localhost');
const TLS = { tls: { cert_file: server.cert, key_file: server.key } };
const GET = 'GET /db/a HTTP/1.1\r\nHost: h\r\n\r\n';
const BIG = 1024 * 1024;
let region;
let sockets = 0;

before(async () => {
    region = await ScriptedRegion.start();
});
beforeEach(() => {
    region.rules.length = 0;
    region.requests.length = 0;
    region.on(/ \//, [answer(200, { ok: true })]);
});
after(() => region.close());

const socketPath = () => join(folder, `http-${(sockets += 1)}.sock`);
const proxied = (over, body) => withProxy(() => [region], calm(over), body);
const served = () => region.requests.filter((request) => request.target.startsWith('/db')).length;
const asked = () => region.requests.filter((request) => request.target.startsWith('/db')).at(-1).headers;

// An IPv6 loopback to test with?
const v6 = await new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ host: '::1', port: 0 }, () => probe.close(() => resolve(true)));
});

const connect = (proxy, options = {}) => Wire.connect(proxy.port, proxy.socketPath ? { path: proxy.socketPath, ...options } : options);

// TLS over a connection that has already been written to.
async function secured(wire) {
    wire.socket.removeAllListeners('data');
    const inner = tls.connect({ socket: wire.socket, servername: 'localhost', ca: readFileSync(authority.file) });
    await within('a handshake', new Promise((resolve, reject) => {
        inner.once('secureConnect', resolve);
        inner.once('error', reject);
    }));
    return new Wire(inner);
}

async function get(wire, request = GET) {
    wire.send(request);
    return wire.response();
}

for (const workers of [1, 3]) {
    const path = socketPath();
    test(`a Unix socket, ${workers} ${workers === 1 ? 'worker' : 'workers'}: who may connect, who it is, and that it is gone at the end`, async (t) => {
        const log = join(folder, `access-${workers}.jsonl`);
        const over = { workers, listen: { address: `unix:${path}`, socket_mode: '0640' }, access_log: { path: log, flush_ms: 50 } };
        await proxied(over, async (proxy) => {
            assert.equal(statSync(path).mode & 0o7777, 0o640);
            // Many at once: whichever worker takes one, it is served.
            const wires = await Promise.all(Array.from({ length: 40 }, () => connect(proxy)));
            const got = await Promise.all(wires.map((wire) => get(wire)));
            assert.ok(got.every((response) => response.status === 200));
            assert.equal(asked()['x-forwarded-for'], '127.0.0.1');
            const again = await Promise.all(wires.map((wire) => get(wire)));
            assert.ok(again.every((response) => response.status === 200));
            wires.forEach((wire) => wire.destroy());
            await until('a line of the access log', () => readFileSync(log, 'utf8').includes('"client":"unix"'));
            const { stdout } = proxy.cli('status');
            assert.ok(stdout.includes(` on unix:${path}, up `), stdout);
            assert.equal((await proxy.status()).listen, `unix:${path}`);
        })(t);
        assert.ok(!existsSync(path));
    });
}

test('a Unix socket carries large bodies both ways, to clients that are slow to take them', proxied({ listen: { address: `unix:${socketPath()}` } }, async (proxy) => {
    region.on('PUT /db/big', [answer(201, { ok: true })]);
    region.on('GET /db/big', [answer(200, 'x'.repeat(BIG))]);
    const wire = await connect(proxy);
    wire.send(`PUT /db/big HTTP/1.1\r\nHost: h\r\nContent-Length: ${BIG}\r\n\r\n`);
    wire.send('y'.repeat(BIG));
    assert.equal((await wire.response()).status, 201);
    assert.equal(region.requests.at(-1).body.length, BIG);
    wire.socket.pause();
    wire.send('GET /db/big HTTP/1.1\r\nHost: h\r\n\r\n');
    await until('the region to be asked', () => region.requests.some((request) => request.method === 'GET' && request.target === '/db/big'));
    wire.socket.resume();
    const got = await wire.response();
    assert.equal(got.body.length, BIG);
    wire.destroy();
}));

test('a Unix socket by TLS', proxied({ listen: { address: `unix:${socketPath()}`, ...TLS } }, async (proxy) => {
    const wire = await secured(await connect(proxy));
    assert.equal((await get(wire)).status, 200);
    assert.equal(asked()['x-forwarded-proto'], 'https');
    wire.destroy();
}));

test('a stale socket is taken over, a live one and a file are not', async (t) => {
    const path = socketPath();
    const over = { listen: { address: `unix:${path}` } };
    const first = await Proxy.start([region], over);
    await assert.rejects(Proxy.start([region], over), /another process listens on it/);
    assert.equal((await get(await connect(first))).status, 200); // it was not disturbed
    first.child.signal('SIGKILL');
    await first.child.wait();
    assert.ok(existsSync(path));
    await proxied(over, async (proxy) => {
        const wire = await connect(proxy);
        assert.equal((await get(wire)).status, 200);
        wire.destroy();
    })(t);
    assert.ok(!existsSync(path));
    await assert.rejects(Proxy.start([region], { listen: { address: `unix:${server.cert}` } }), /not a socket/);
    assert.ok(existsSync(server.cert));
});

test('IPv6', { skip: !v6 }, proxied({ listen: { address: '::1' } }, async (proxy) => {
    const wire = await connect(proxy, { host: '::1' });
    assert.equal((await get(wire)).status, 200);
    assert.equal(asked()['x-forwarded-for'], '::1');
    wire.destroy();
}));

test('IPv6 and IPv4 on one port, each client told by its own address', { skip: !v6 }, proxied({ workers: 2, listen: { address: '::', ipv6_only: 'no' } }, async (proxy) => {
    for (const [host, told] of [['127.0.0.1', '127.0.0.1'], ['::1', '::1']]) {
        const wire = await connect(proxy, { host });
        assert.equal((await get(wire)).status, 200);
        assert.equal(asked()['x-forwarded-for'], told);
        wire.destroy();
    }
}));

test('"::" alone takes no IPv4', { skip: !v6 }, proxied({ listen: { address: '::' } }, async (proxy) => {
    await assert.rejects(connect(proxy, { host: '127.0.0.1' }), /ECONNREFUSED/);
    const wire = await connect(proxy, { host: '::1' });
    assert.equal((await get(wire)).status, 200);
    wire.destroy();
}));

// ---- PROXY headers ----

const V1 = Buffer.from('PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n');
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_TCP6 = Buffer.concat([
    SIGNATURE,
    Buffer.from([0x21, 0x21, 0, 43]),
    Buffer.from('20010db800000000000000000000000720010db8000000000000000000000001dc0401bb', 'hex'),
    Buffer.from([3, 0, 4, 1, 2, 3, 4]),
]);
const LOCAL = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
const NAMED = [[V1, '203.0.113.9'], [V2_TCP6, '2001:db8::7'], [LOCAL, '127.0.0.1'], [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1']];

for (const where of ['a port', 'a Unix socket']) {
    for (const scheme of ['http', 'https']) {
        const listen = { proxy_protocol: 'yes', ...(scheme === 'https' ? TLS : {}), ...(where === 'a port' ? {} : { address: `unix:${socketPath()}` }) };
        test(`PROXY headers on ${where}, ${scheme}: in one piece, byte by byte, and none`, proxied({ listen }, async (proxy) => {
            for (const [header, told] of NAMED) {
                for (const step of [1, header.length]) {
                    let wire = await connect(proxy);
                    for (let at = 0; at < header.length; at += step) {
                        wire.socket.write(header.subarray(at, at + step));
                        await new Promise((resolve) => setImmediate(resolve));
                    }
                    wire = scheme === 'https' ? await secured(wire) : wire;
                    assert.equal((await get(wire)).status, 200);
                    assert.equal(asked()['x-forwarded-for'], told);
                    assert.equal(asked()['x-forwarded-proto'], scheme);
                    assert.equal((await get(wire)).status, 200); // once a connection
                    wire.destroy();
                }
            }
            const before = served();
            for (const bytes of [GET, 'PROXY TCP4 203.0.113.9\r\n', '\x16\x03\x01\x02\0']) {
                const wire = await connect(proxy);
                wire.send(bytes);
                await wire.end();
                assert.equal(wire.bytes.length, 0);
            }
            assert.equal(served(), before);
            assert.equal(await proxy.metric('davenport_proxy_headers_refused_total'), 3);
            assert.match(proxy.child.text(), /"proxy_header_refused"/);
        }));
    }
}

test('a header and the request behind it in one packet', proxied({ listen: { proxy_protocol: 'yes' } }, async (proxy) => {
    const wire = await connect(proxy);
    wire.socket.write(Buffer.concat([V1, Buffer.from(GET + GET)]));
    assert.equal((await wire.response()).status, 200);
    assert.equal((await wire.response()).status, 200);
    wire.destroy();
}));

// ---- how many, how often, how slowly ----

test('connections of one address, exactly and over all workers', proxied({ workers: 3, limits: { connections_per_address: 5 }, listen: { proxy_protocol: 'yes' } }, async (proxy) => {
    const from = async (address) => {
        const wire = await connect(proxy);
        wire.socket.write(`PROXY TCP4 ${address} 198.51.100.1 1 2\r\n${GET}`);
        return { wire, status: (await wire.response()).status };
    };
    const first = await Promise.all(Array.from({ length: 5 }, () => from('203.0.113.1')));
    assert.deepEqual(first.map(({ status }) => status), [200, 200, 200, 200, 200]);
    for (let i = 0; i < 10; i += 1) {
        const { wire, status } = await from('203.0.113.1');
        assert.equal(status, 429);
        wire.destroy();
    }
    assert.equal((await from('203.0.113.2')).status, 200);
    assert.equal(await proxy.metric('davenport_client_connections_refused_total'), 10);
    assert.match(await proxy.metrics(), /davenport_refusals_total\{reason="too_many_of_address",status="429"\} 10\n/);
    first[0].wire.destroy();
    await until('its place to be free', async () => {
        const { wire, status } = await from('203.0.113.1');
        wire.destroy();
        return status === 200;
    });
    first.slice(1).forEach(({ wire }) => wire.destroy());
}));

test('connections in all: told, and by TLS closed', async (t) => {
    await proxied({ limits: { connections: 2 } }, async (proxy) => {
        const kept = [await connect(proxy), await connect(proxy)];
        assert.equal((await get(kept[0])).status, 200);
        assert.equal((await get(kept[1])).status, 200);
        const third = await connect(proxy);
        const got = await third.response();
        assert.deepEqual([got.status, got.json.error, got.header('retry-after')], [503, 'too_many_connections', '1']);
        assert.equal((await get(kept[0])).status, 200);
        [...kept, third].forEach((wire) => wire.destroy());
    })(t);
    await proxied({ limits: { connections: 1 }, listen: TLS }, async (proxy) => {
        const kept = await secured(await connect(proxy));
        assert.equal((await get(kept)).status, 200);
        // Before its handshake, so early that connecting itself may fail.
        const how = await connect(proxy).then((wire) => wire.end(), (error) => error.code);
        assert.match(how, /^(rst|fin|ECONNRESET)$/);
        kept.destroy();
    })(t);
});

test('the last request of a connection says so, by TLS too', async (t) => {
    for (const listen of [{}, TLS]) {
        await proxied({ listen, limits: { requests_per_connection: 2 } }, async (proxy) => {
            let wire = await connect(proxy);
            wire = listen.tls ? await secured(wire) : wire;
            assert.equal((await get(wire)).header('connection'), undefined);
            assert.equal((await get(wire)).header('connection'), 'close');
            await wire.end();
        })(t);
    }
});

const SLOW = { timeouts: { rate_window_ms: 1_000, body_ms: 60_000 }, limits: { min_bytes_per_s: 1_000 } };

for (const scheme of ['http', 'https']) {
    test(`a body that drips is refused, ${scheme}`, proxied({ ...SLOW, listen: scheme === 'https' ? TLS : {} }, async (proxy) => {
        let wire = await connect(proxy);
        wire = scheme === 'https' ? await secured(wire) : wire;
        wire.send(`PUT /db/a HTTP/1.1\r\nHost: h\r\nContent-Length: ${BIG}\r\n\r\n`);
        const drip = setInterval(() => wire.socket.write('x'), 50);
        const got = await wire.response().finally(() => clearInterval(drip));
        assert.deepEqual([got.status, got.json.error], [408, 'request_timeout']);
        assert.equal(await proxy.metric('davenport_clients_slow_total'), 1);
        wire.destroy();
    }));

    test(`an answer that is not taken is given up, ${scheme}`, proxied({ ...SLOW, listen: scheme === 'https' ? TLS : {} }, async (proxy) => {
        const body = 'x'.repeat(16 * BIG); // more than the kernels take between them
        region.on('GET /db/big', [answer(200, body)]);
        let wire = await connect(proxy);
        wire = scheme === 'https' ? await secured(wire) : wire;
        wire.socket.pause();
        wire.send('GET /db/big HTTP/1.1\r\nHost: h\r\n\r\n');
        await until('it to be given up', async () => (await proxy.metric('davenport_clients_slow_total')) === 1);
        wire.destroy();
    }));
}
