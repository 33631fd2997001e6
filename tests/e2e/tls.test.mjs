// TLS on both sides: who is trusted, what is told when somebody is not, and that nothing else changes.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import test from 'node:test';
import { calm } from '../support/calm.mjs';
import { request } from '../support/http.mjs';
import { configuration, Proxy, withProxy } from '../support/proxy.mjs';
import { Authority, pin, TlsRegion } from '../support/tls.mjs';
import { until } from '../support/wait.mjs';

const authority = new Authority();
const server = authority.leaf('localhost', 'DNS:localhost,IP:127.0.0.1');
const MIB = 1024 * 1024;

// Regions with tls settings of their own: [[region, tls], …]
function regionsConfig(pairs, over = {}) {
    return calm({
        ...over,
        regions: pairs.map(([region, tls]) => ({ name: region.name, url: region.origin, tls })),
    });
}

const trust = { ca_file: authority.file };
const listen = { listen: { tls: { cert_file: server.cert, key_file: server.key } } };

// One request to a TLS listener.
function secure(proxy, path, { agent, method = 'GET', body, ...tls } = {}) {
    return new Promise((resolve, reject) => {
        const outgoing = https.request(
            { host: 'localhost', port: proxy.port, path, method, agent, ca: readFileSync(authority.file), ...tls },
            (response) => {
                const parts = [];
                const resumed = response.socket.isSessionReused();
                response.on('data', (part) => parts.push(part));
                response.on('error', reject);
                response.on('end', () => resolve({ status: response.statusCode, bytes: Buffer.concat(parts), resumed }));
            },
        );
        outgoing.on('error', reject);
        outgoing.end(body);
    });
}

test('requests and probes reach an https region, which sees its name, HTTP/1.1 and our certificate', async (t) => {
    const clients = new Authority('clients');
    const ours = clients.leaf('davenport', 'DNS:davenport');
    const region = await TlsRegion.start('left', server, { requestCert: true, rejectUnauthorized: true, ca: readFileSync(clients.file) });
    const tls = { ...trust, cert_file: ours.cert, key_file: ours.key };
    await withProxy([region], regionsConfig([[region, tls]], { limits: { upstream_warm: 0 } }), async (proxy) => {
        await until('a good probe', async () => (await proxy.region('left')).health === 'up');
        for (let i = 0; i < 3; i += 1) {
            const got = await request(`${proxy.origin}/db/doc`);
            assert.equal(got.status, 200);
            const { servername, alpn, version, client, proto } = got.json;
            assert.deepEqual({ servername, alpn, version, client, proto },
                { servername: 'localhost', alpn: 'http/1.1', version: 'TLSv1.3', client: 'davenport', proto: 'http' });
        }
        const handshakes = () => proxy.metric('davenport_tls_region_handshakes_total');
        await until('the handshake to be counted', handshakes);
        assert.equal(await handshakes(), 1); // one connection, kept
        const left_s = (await proxy.metric('davenport_region_certificate_not_after_seconds')) - Date.now() / 1000;
        assert.ok(left_s > 600 && left_s < 100 * 365 * 86_400, `its certificate ends in ${left_s} s`);
    })(t);
    region.kill();
});

test('a new connection to an https region resumes the session of an earlier one', async (t) => {
    const region = await TlsRegion.start('left', server);
    await withProxy([region], regionsConfig([[region, trust]], { limits: { upstream_warm: 0, upstream_idle: 0 } }), async (proxy) => {
        for (let i = 0; i < 4; i += 1) {
            assert.equal((await request(`${proxy.origin}/db/doc`)).status, 200);
        }
        await until('four handshakes', async () => (await proxy.metric('davenport_tls_region_handshakes_total')) === 4);
        // This server gives two tickets with a full handshake; a ticket is used once.
        assert.ok(await proxy.metric('davenport_tls_region_resumed_total') >= 2);
    })(t);
    region.kill();
});

test('a region that speaks TLS 1.2 at most is reached', async (t) => {
    const region = await TlsRegion.start('left', server, { maxVersion: 'TLSv1.2' });
    await withProxy([region], regionsConfig([[region, trust]]), async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db`)).json.version, 'TLSv1.2');
    })(t);
    region.kill();
});

for (const [fault, leaf, tls, reason] of [
    ['of an unknown authority', server, {}, /certificate/],
    ['for another name', authority.leaf('other', 'DNS:other.example'), trust, /subject name|host ?name|altname/i],
    ['with another key than the pinned one', server, { ...trust, pins: `sha256//${'A'.repeat(43)}=` }, /pinned|public key/i],
]) {
    test(`a region with a certificate ${fault} is left, and status, journal and metrics say why`, async (t) => {
        const [bad, good] = [await TlsRegion.start('left', leaf), await TlsRegion.start('right', server)];
        await withProxy([bad, good], regionsConfig([[bad, tls], [good, { ...trust, pins: pin(server.cert) }]], { probe: { fast_interval_ms: 500 } }), async (proxy) => {
            const got = await request(`${proxy.origin}/db/doc`); // also before the first probe
            assert.deepEqual([got.status, got.json.region], [200, 'right']);
            await proxy.untilActive('right');
            const left = await proxy.region('left');
            assert.equal(left.health, 'down');
            assert.match(left.last_probe?.detail ?? JSON.stringify(left), reason);
            assert.equal(bad.seen.length, 0);
            await until('the metrics to tell it from a dark region', async () =>
                /^davenport_region_tls_fault\{[^}]*"left"[^}]*\} 1$/m.test(await proxy.metrics()));
            assert.match(await proxy.metrics(), /^davenport_region_tls_fault\{[^}]*"right"[^}]*\} 0$/m);
            const lines = (await proxy.events()).filter((entry) => JSON.stringify(entry).includes('tls_fault'));
            assert.ok(lines.length > 0 && lines.every((entry) => JSON.stringify(entry).includes('left')), JSON.stringify(lines));
        })(t);
        bad.kill();
        good.kill();
    });
}

test('applications connect by TLS, resume sessions, and are told apart from plain HTTP', async (t) => {
    const region = await TlsRegion.start('left', server);
    await withProxy([region], regionsConfig([[region, trust]], { ...listen, workers: 2 }), async (proxy) => {
        const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
        for (let i = 0; i < 3; i += 1) {
            const got = await secure(proxy, '/db/doc', { agent });
            assert.equal(JSON.parse(got.bytes).proto, 'https');
        }
        agent.destroy();
        // Sessions are resumed whichever worker the next connection falls to.
        const resuming = new https.Agent({ keepAlive: false });
        const resumed = [];
        for (let i = 0; i < 8; i += 1) {
            resumed.push((await secure(proxy, '/db/doc', { agent: resuming })).resumed);
        }
        assert.ok(resumed.slice(1).every(Boolean), `resumed: ${resumed}`);
        // Plain HTTP gets no answer in clear, and the proxy lives on.
        const plain = await new Promise((resolve) => {
            const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
            const parts = [];
            socket.on('data', (part) => parts.push(part));
            socket.on('error', () => {});
            socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
        });
        assert.doesNotMatch(plain, /HTTP\//);
        await assert.rejects(secure(proxy, '/', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
        assert.equal((await secure(proxy, '/db')).status, 200);
    })(t);
    region.kill();
});

test('with client_ca_file only applications with a certificate get in', async (t) => {
    const clients = new Authority('clients');
    const strangers = new Authority('strangers');
    const [known, stranger] = [clients.leaf('app', 'DNS:app'), strangers.leaf('app', 'DNS:app')];
    const region = await TlsRegion.start('left', server);
    const over = { listen: { tls: { ...listen.listen.tls, client_ca_file: clients.file } } };
    const pair = ({ cert, key }) => ({ cert: readFileSync(cert), key: readFileSync(key) });
    await withProxy([region], regionsConfig([[region, trust]], over), async (proxy) => {
        assert.equal((await secure(proxy, '/db', pair(known))).status, 200);
        await assert.rejects(secure(proxy, '/db'));
        await assert.rejects(secure(proxy, '/db', pair(stranger)));
        assert.equal(region.seen.length, 1);
        await until('two failed handshakes', async () => (await proxy.metric('davenport_tls_client_failed_total')) === 2);
    })(t);
    region.kill();
});

test('large bodies pass both ways whole', async (t) => {
    const region = await TlsRegion.start('left', server);
    await withProxy([region], regionsConfig([[region, trust]], listen), async (proxy) => {
        const body = Buffer.alloc(8 * MIB, 'abcdefghij');
        const up = await secure(proxy, '/db/doc/att', { method: 'PUT', body });
        assert.equal(JSON.parse(up.bytes).body, createHash('sha256').update(body).digest('hex'));
        const down = await secure(proxy, `/big/${8 * MIB}`);
        assert.ok(down.bytes.equals(Buffer.alloc(8 * MIB, 'x')));
    })(t);
    region.kill();
});

test('an https region that dies under load fails no request', async (t) => {
    const [left, right] = [await TlsRegion.start('left', server), await TlsRegion.start('right', server)];
    await withProxy([left, right], regionsConfig([[left, trust], [right, trust]]), async (proxy) => {
        const failed = [];
        let going = true;
        t.after(() => (going = false));
        let done = 0;
        const work = Array.from({ length: 8 }, async () => {
            while (going) {
                const got = await request(`${proxy.origin}/db/doc`).catch((error) => ({ status: String(error) }));
                done += 1;
                if (got.status !== 200) {
                    failed.push(got.status);
                }
            }
        });
        await until('some requests', () => done > 50);
        left.kill();
        await proxy.untilActive('right');
        const before = done;
        await until('more requests', () => done > before + 50);
        going = false;
        await Promise.all(work);
        assert.deepEqual(failed, []);
    })(t);
    right.kill();
});

test('a standby is ready before it is needed: its handshake is done', async (t) => {
    const [left, right] = [await TlsRegion.start('left', server), await TlsRegion.start('right', server)];
    await withProxy([left, right], regionsConfig([[left, trust], [right, trust]]), async (proxy) => {
        await until('a connection to each', async () => (await proxy.metric('davenport_region_connections_idle')) === 2);
        await until('a handshake with each', async () => (await proxy.metric('davenport_tls_region_handshakes_total')) === 2);
    })(t);
    left.kill();
    right.kill();
});

test('a TLS file that cannot be used stops the start and is named', () => {
    const region = { name: 'left', origin: 'https://localhost:1' };
    const config = configuration([region], { regions: [{ name: 'left', url: region.origin, tls: { ca_file: '/nonexistent/ca.pem' } }] });
    const proxy = new Proxy(config);
    const done = Proxy.run(['serve', '-c', proxy.configPath]);
    assert.equal(done.status, 1);
    assert.match(done.stderr, /\/nonexistent\/ca\.pem/);
});
