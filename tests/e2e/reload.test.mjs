// SIGHUP: TLS files are read again, and nobody's connection notices.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { answer, chunk, chunkedHead } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority, TlsRegion } from '../support/tls.mjs';
import { scratch, until, within } from '../support/wait.mjs';

const authority = new Authority();
const first = authority.leaf('first', 'DNS:localhost,IP:127.0.0.1', '2');
const second = authority.leaf('second', 'DNS:localhost,IP:127.0.0.1', '9');
const ca = readFileSync(authority.file);
const DAY_S = 86_400;

// A pair of files that a test may replace.
class Files {
    constructor(leaf) {
        const folder = scratch('files');
        [this.cert, this.key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
        this.put(leaf);
    }

    put(leaf) {
        copyFileSync(leaf.cert, this.cert);
        copyFileSync(leaf.key, this.key);
    }

    get config() {
        return { cert_file: this.cert, key_file: this.key };
    }
}

const lastOf = async (proxy, event) => (await proxy.events()).filter((line) => line.event === event).at(-1);

async function reload(proxy, result = 'done') {
    const count = async () => (await proxy.status())[`reloads_${result}`];
    const before = await count();
    proxy.child.signal('SIGHUP');
    await until(`a reload that is ${result}`, async () => (await count()) === before + 1);
}

function get(proxy, path, { agent, onPart = () => {}, onSocket = () => {}, ...options } = {}) {
    return new Promise((resolve, reject) => {
        const outgoing = https.request({ host: 'localhost', port: proxy.port, path, agent: agent ?? false, ca, ...options }, (response) => {
            const parts = [];
            onSocket(response.socket);
            response.on('data', (part) => {
                parts.push(part);
                onPart(part);
            });
            response.on('error', reject);
            response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
        });
        outgoing.on('error', reject);
        outgoing.end();
    });
}

// Who answers a new connection, and whether it resumed `session`.
function greet(proxy, session) {
    return new Promise((resolve, reject) => {
        const got = {};
        const socket = tls.connect({ host: 'localhost', port: proxy.port, servername: 'localhost', ca, session, ALPNProtocols: ['http/1.1'] }, () => {
            got.name = socket.getPeerCertificate().subject?.CN;
            got.resumed = socket.isSessionReused();
        });
        socket.on('session', (ticket) => {
            got.session = ticket;
            socket.end();
        });
        socket.on('error', reject);
        socket.on('close', () => resolve(got));
    });
}

test('connections and a feed live through a reload, new connections see the new certificate', async (t) => {
    const region = await ScriptedRegion.start('left');
    const files = new Files(first);
    let more;
    const told = new Promise((resolve) => (more = resolve));
    region.on(/ \/db\//, [answer(200, { ok: true })]);
    region.on(/feed=continuous/, [chunkedHead(), chunk('{"seq":1}\n'), { until: told }, chunk('{"seq":2}\n'), chunk('')]);
    await withProxy([region], { listen: { tls: files.config }, workers: 2 }, async (proxy) => {
        const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
        const sockets = new Set();
        const ask = () => get(proxy, '/db/doc', { agent, onSocket: (socket) => sockets.add(socket) });
        assert.equal((await ask()).status, 200);
        let begun;
        const first_line = new Promise((resolve) => (begun = resolve));
        const feed = get(proxy, '/db/_changes?feed=continuous', { onPart: begun });
        await within('the feed', first_line);
        const before = await greet(proxy);
        assert.deepEqual([before.name, before.resumed], ['first', false]);

        files.put(second);
        await reload(proxy);
        await until('both workers to show it', async () => {
            const names = await Promise.all(Array.from({ length: 6 }, async () => (await greet(proxy)).name));
            return names.every((name) => name === 'second');
        });
        // A session of before is resumed, without showing a certificate again, and so is its successor.
        const after_ = await greet(proxy, before.session);
        assert.equal(after_.resumed, true);
        await reload(proxy);
        assert.equal((await greet(proxy, after_.session)).resumed, true);
        assert.equal((await ask()).status, 200);
        assert.equal(sockets.size, 1);
        more();
        assert.equal((await feed).text, '{"seq":"1~left"}\n{"seq":"2~left"}\n');
        agent.destroy();

        const line = (await proxy.events()).find((one) => one.event === 'reloaded');
        assert.match(line.detail, /listen/);
        const [certificate] = (await proxy.status()).certificates;
        assert.equal(certificate.to, 'clients');
        const left_s = (await proxy.metric('davenport_certificate_not_after_seconds')) - Date.now() / 1000;
        assert.ok(left_s > 8 * DAY_S && left_s < 10 * DAY_S, `${left_s}`);
        assert.equal(Date.parse(certificate.not_after) / 1000, await proxy.metric('davenport_certificate_not_after_seconds'));
        assert.ok((await proxy.metric('davenport_tls_client_handshakes_total')) > 0);
    })(t);
    region.close();
});

test('a file that cannot be used is named, and what was in force stays', async (t) => {
    const region = await ScriptedRegion.start('left');
    region.on(/ \/db\//, [answer(200, { ok: true })]);
    const files = new Files(first);
    await withProxy([region], { listen: { tls: files.config } }, async (proxy) => {
        for (const [spoil, reason] of [
            [() => writeFileSync(files.cert, 'no certificate'), /certificate .*cert\.pem: /],
            [() => copyFileSync(second.cert, files.cert), /key .*key\.pem: key values mismatch/],
            [() => writeFileSync(files.key, ''), /key .*key\.pem: /],
        ]) {
            files.put(first);
            spoil();
            await reload(proxy, 'refused');
            const line = await lastOf(proxy, 'reload_refused');
            assert.match(line.detail, reason);
            assert.match(proxy.child.text(), /"level":"error","event":"reload_refused"/);
            assert.equal((await greet(proxy)).name, 'first');
            assert.equal((await get(proxy, '/db/doc')).status, 200);
        }
        files.put(second);
        await reload(proxy);
        await until('the new one', async () => (await greet(proxy)).name === 'second');
    })(t);
    region.close();
});

test('requests and probes show a region the new certificate and trust the new authority', async (t) => {
    const clients = new Authority('clients');
    const ours = new Files(clients.leaf('old', 'DNS:old'));
    const trusted = join(scratch('trust'), 'ca.pem');
    copyFileSync(authority.file, trusted);
    const seen = { probes: new Set() };
    const region = await TlsRegion.start('left', first, { requestCert: true, rejectUnauthorized: true, ca: readFileSync(clients.file) });
    region.server.on('request', (incoming) => incoming.url === '/_up' && seen.probes.add(incoming.socket.getPeerCertificate().subject?.CN));
    // A region that is busy for long is none that can't be reached.
    const over = { timeouts: { connect_ms: 60_000 }, regions: [{ name: 'left', url: region.origin, tls: { ...ours.config, ca_file: trusted } }] };
    await withProxy([region], over, async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db`)).json.client, 'old');
        await until('a probe', () => seen.probes.has('old'));
        // Files that are there but not told of are not used: neither by requests nor by probes.
        ours.put(clients.leaf('new', 'DNS:new'));
        writeFileSync(trusted, 'broken');
        await reload(proxy, 'refused');
        seen.probes.clear();
        await until('two probes', async () => seen.probes.has('old') && (await proxy.region('left')).health === 'up');
        assert.equal((await request(`${proxy.origin}/db`)).json.client, 'old');
        assert.ok(!seen.probes.has('new'));

        copyFileSync(authority.file, trusted);
        await reload(proxy);
        await until('requests that show it', async () => (await request(`${proxy.origin}/db`)).json.client === 'new');
        await until('probes that show it', () => seen.probes.has('new'));
        assert.match((await lastOf(proxy, 'reloaded')).detail, /region left/);
        assert.equal((await proxy.region('left')).health, 'up');

        // An authority that did not sign its certificate: a fault of trust, not a dark region.
        copyFileSync(clients.file, trusted);
        await reload(proxy);
        await until('the fault to be seen', async () => (await proxy.region('left')).health === 'down');
        const left = await proxy.region('left');
        assert.equal(left.last_probe_result, 'tls_fault');
        assert.match(left.last_probe, /certificate/);
        assert.equal(await proxy.metric('davenport_region_tls_fault'), 1);
        const down = (await proxy.events()).find((line) => line.event === 'region_down');
        assert.equal(down.inputs.probe, 'tls_fault');
        assert.match(down.reason, /certificate/);

        copyFileSync(authority.file, trusted);
        await reload(proxy);
        await until('it to be up again', async () => (await proxy.region('left')).health === 'up');
        assert.equal(await proxy.metric('davenport_region_tls_fault'), 0);
        region.kill();
        await until('it to be dark', async () => (await proxy.region('left')).health === 'down');
        assert.equal((await proxy.region('left')).last_probe_result, 'dark');
        assert.equal(await proxy.metric('davenport_region_tls_fault'), 0);
    })(t);
    region.kill();
});

test('without TLS a reload changes nothing and says so', async (t) => {
    const region = await ScriptedRegion.start('left');
    region.on(/ \/db\//, [answer(200, { ok: true })]);
    await withProxy([region], {}, async (proxy) => {
        await reload(proxy);
        assert.equal((await request(`${proxy.origin}/db/doc`)).status, 200);
        assert.equal((await lastOf(proxy, 'reloaded')).detail, 'nothing changed');
    })(t);
    region.close();
});
