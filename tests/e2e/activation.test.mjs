// Listening sockets that another process opened: as systemd hands them over (sd_listen_fds(3)).

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { leashed } from '../support/child.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { BINARY, configuration } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, within } from '../support/wait.mjs';

let region;
before(async () => {
    region = await ScriptedRegion.start();
    region.on(/ \/db\//, [answer(200, { ok: true })]);
});
after(() => region.close());

// A listening socket that nobody accepts from: `where` as of net.Server.listen.
function listening(where) {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.once('error', reject);
        server.listen({ backlog: 16, ...where }, () => resolve(server));
    });
}

// The program with these servers' sockets from descriptor 3 on, as a service manager starts it.
function activate(servers, names, over, pid = '$$') {
    const folder = scratch('activation');
    const file = join(folder, 'davenport.json');
    writeFileSync(file, JSON.stringify(configuration([region], over)));
    const script = `LISTEN_PID=${pid} LISTEN_FDS=${servers.length} ${names === null ? '' : `LISTEN_FDNAMES=${names}`} exec "$0" serve -c "$1"`;
    const child = leashed('sh', ['-c', script, BINARY, file], {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe', ...servers.map((server) => server._handle.fd)],
    });
    let said = '';
    const ready = new Promise((resolve) => {
        child.stderr.on('data', (part) => {
            said += part;
            const line = said.split('\n').find((one) => one.includes('"event":"ready"'));
            if (line) {
                resolve(JSON.parse(line));
            }
        });
    });
    const ended = new Promise((resolve) => {
        child.once('close', (code, signal) => resolve({ code, signal, said }));
    });
    return { child, ready: within('it to be ready', Promise.race([ready, ended])), ended: within('its end', ended, 120_000) };
}

const loopback = { host: '127.0.0.1', port: 0 };

for (const workers of [1, 3]) {
    test(`it serves on the sockets that were handed over (${workers} workers)`, async () => {
        const traffic = await listening(loopback);
        const admin = await listening(loopback);
        const { port } = traffic.address();
        const run = activate([traffic, admin], 'traffic:admin', {
            workers,
            listen: { port },
            admin: { listen: `127.0.0.1:${admin.address().port}` },
        });
        const ready = await run.ready;
        assert.equal(ready.listen, `127.0.0.1:${port}`);
        assert.equal(ready.admin, `127.0.0.1:${admin.address().port}`);
        traffic.close();
        admin.close();
        for (let i = 0; i < 10; i += 1) {
            assert.equal((await request(`http://127.0.0.1:${port}/db/a`)).status, 200);
        }
        assert.equal((await request(`http://${ready.admin}/healthz`)).status, 200);
        run.child.kill('SIGTERM');
        const { code, said } = await run.ended;
        assert.equal(code, 0, said);
    });
}

test('a Unix socket without a name is for traffic, and stays when we end: it is the manager\'s', async () => {
    const path = join(scratch('sockets'), 'http.sock');
    const traffic = await listening({ path });
    const run = activate([traffic], null, { workers: 2, listen: { address: `unix:${path}` } });
    assert.equal((await run.ready).listen, `unix:${path}`);
    run.child.kill('SIGTERM');
    assert.equal((await run.ended).code, 0);
    // It still listens, by the manager's descriptor, with the same file.
    await new Promise((resolve, reject) => {
        const socket = net.connect(path, () => resolve(socket.destroy()));
        socket.once('error', reject);
    });
    traffic.close();
});

test('descriptors that are meant for another process are left alone', async () => {
    const traffic = await listening(loopback);
    const run = activate([traffic], 'traffic', {}, '1');
    const ready = await run.ready;
    assert.match(ready.listen, /^127\.0\.0\.1:\d+$/);
    assert.notEqual(ready.listen, `127.0.0.1:${traffic.address().port}`);
    run.child.kill('SIGTERM');
    assert.equal((await run.ended).code, 0);
    traffic.close();
});

test('a socket that is not where the configuration says is refused, by name', async () => {
    const traffic = await listening(loopback);
    const other = await listening(loopback);
    const run = activate([traffic], 'traffic', { listen: { port: other.address().port } });
    const { code, said } = await run.ended;
    assert.equal(code, 1);
    assert.match(said, /"what":"listen","address":"127\.0\.0\.1:\d+","reason":"systemd handed a socket over that listens elsewhere"/);
    traffic.close();
    other.close();
});

test('names nobody knows and descriptors that do not listen are refused', async () => {
    const traffic = await listening(loopback);
    const named = await activate([traffic], 'metrics', {}).ended;
    assert.equal(named.code, 1);
    assert.match(named.said, /only traffic and admin are known/);
    const [a, b] = await new Promise((resolve) => {
        const client = net.connect(traffic.address().port, '127.0.0.1');
        traffic.once('connection', (socket) => resolve([client, socket]));
    });
    const deaf = await activate([b], 'traffic', {}).ended;
    assert.equal(deaf.code, 1);
    assert.match(deaf.said, /it is no stream socket that listens/);
    a.destroy();
    b.destroy();
    traffic.close();
});
