// A region's name with several addresses: dark, refusing and live ones, changes while requests run, and a resolver
// that fails. Real sockets; the names are the test's own (support/names.h).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { leashed } from '../support/child.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { Names } from '../support/names.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority, TlsRegion } from '../support/tls.mjs';
import { until, within } from '../support/wait.mjs';

const NAME = 'couch.example';
const LIVE = '127.0.0.1';

// A region that tells at which address it was asked.
async function region(host, port) {
    const made = await ScriptedRegion.start('left', { host, port });
    made.on(/ \/db/, [answer(200, { from: host })]);
    return made;
}

// How many connections wait to be taken, as the kernel has it.
function queued(host, port) {
    const hex = (n, digits) => n.toString(16).toUpperCase().padStart(digits, '0');
    const at = `${host.split('.').reverse().map((byte) => hex(Number(byte), 2)).join('')}:${hex(port, 4)}`;
    const row = readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/)).find((one) => one[1] === at && one[3] === '0A');
    return parseInt(row[4].split(':')[1], 16);
}

// An address that answers no connection attempt: its queue is full, and nobody takes from it.
async function dark(host, port) {
    const program = `import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen(0)
print("listening", flush=True)
sys.stdin.read()`;
    const child = leashed('python3', ['-c', program, host, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    await within(
        'the dark address',
        new Promise((resolve, reject) => {
            child.stdout.once('data', resolve);
            child.once('exit', (code) => reject(new Error(`the dark address ended with ${code}`)));
        }),
    );
    const socket = net.connect(port, host).on('error', () => {}).unref();
    await until('the queue to be full', () => queued(host, port) > 0);
    return () => {
        socket.destroy();
        child.kill('SIGKILL');
    };
}

// One region called NAME at `port`, its addresses looked up all the time.
function named(port, over = {}) {
    const { scheme = 'http', tls, ...rest } = over;
    return calm({
        probe: { path: '/_up' },
        dns: { refresh_ms: 100 },
        regions: [{ name: 'left', url: `${scheme}://${NAME}:${port}`, tls }],
        ...rest,
    });
}

const get = async (proxy) => (await request(`${proxy.origin}/db/doc`)).json.from;
const addresses = async (proxy) => (await proxy.region('left')).addresses.map(({ ip, used }) => (used ? `${ip}*` : ip)).join(' ');

test('a refusing and a dark address come first: the live one answers, is remembered, and is probed', async (t) => {
    const live = await region(LIVE);
    const end = await dark('127.0.0.2', live.port);
    const names = new Names({ [NAME]: ['::1', '127.0.0.2', LIVE] });
    await withProxy([live], named(live.port, { probe: { path: '/_up', fall: 100 } }), async (proxy) => {
        assert.equal(await get(proxy), LIVE);
        assert.equal(await addresses(proxy), `::1 127.0.0.2 ${LIVE}*`);
        await until('a good probe', async () => (await proxy.region('left')).health === 'up');
        const failures = await proxy.metric('davenport_region_address_failures_total');
        assert.ok(failures >= 1, 'the refusing one is counted');
        // Connections are used up one by one: each next dial begins with the live address, so nothing fails any more.
        for (let i = 0; i < 5; i += 1) {
            live.connections.forEach((socket) => socket.destroy());
            assert.equal(await get(proxy), LIVE);
        }
        assert.equal(await proxy.metric('davenport_region_address_failures_total'), failures);
        assert.equal((await proxy.region('left')).failures, 0);
    }, names.env)(t);
    end();
    await live.close();
});

test('addresses change while it runs: another order moves nothing, a lost address moves all', async (t) => {
    const first = await region(LIVE);
    const second = await region('127.0.0.3', first.port);
    const names = new Names({ [NAME]: [LIVE] });
    await withProxy([first], named(first.port, { limits: { upstream_warm: 0 }, probe: { path: '/_up', interval_ms: 60_000 } }), async (proxy) => {
        const lookups = async () => (await proxy.region('left')).lookup.ok;
        const lookedUp = async () => {
            const before = await lookups();
            await until('two more lookups', async () => (await lookups()) >= before + 2);
        };
        assert.equal(await get(proxy), LIVE);
        await until('the first probe', async () => (await proxy.region('left')).health === 'up');
        const accepted = first.accepted;
        for (const list of [['127.0.0.3', LIVE], [LIVE, '127.0.0.3']]) {
            names.set({ [NAME]: list });
            await lookedUp();
            assert.equal(await get(proxy), LIVE);
        }
        assert.equal(first.accepted, accepted); // the same connection all along
        assert.equal(second.accepted, 0);
        const { epoch } = await proxy.status();
        names.set({ [NAME]: ['127.0.0.3'] });
        await until('requests to go there', async () => (await get(proxy)) === '127.0.0.3');
        await until('the old connection to go', () => first.connections.size === 0 || [...first.connections].every((socket) => socket.destroyed));
        assert.equal(await addresses(proxy), '127.0.0.3*');
        assert.ok((await proxy.status()).epoch > epoch);
        const line = (await proxy.events()).findLast((entry) => entry.event === 'address');
        assert.deepEqual([line.host, line.after], [NAME, '127.0.0.3']);
    }, names.env)(t);
    await first.close();
    await second.close();
});

test('a failing resolver keeps the last addresses, says so, and says when it is over', async (t) => {
    const live = await region(LIVE);
    const names = new Names({ [NAME]: [LIVE] });
    await withProxy([live], named(live.port), async (proxy) => {
        await until('a lookup', async () => (await proxy.region('left')).lookup.ok > 0);
        names.set({ [NAME]: null });
        const lookup = await until('the failure to be told', async () => {
            const { lookup: now } = await proxy.region('left');
            return now.failing && now;
        });
        assert.equal(lookup.why, 'temporary failure');
        assert.ok(lookup.good_at && lookup.good_age_s >= 0 && lookup.failed >= 1);
        assert.equal(await proxy.metric('davenport_region_lookup_failing'), 1);
        assert.equal(await get(proxy), LIVE);
        assert.equal(await addresses(proxy), `${LIVE}*`);
        names.set({ [NAME]: [LIVE] });
        await until('the recovery', async () => !(await proxy.region('left')).lookup.failing);
        assert.equal(await proxy.metric('davenport_region_lookup_failing'), 0);
        const events = (await proxy.events()).map((entry) => entry.event).filter((event) => event.startsWith('lookup'));
        assert.deepEqual(events, ['lookup_failed', 'lookup_recovered']);
    }, names.env)(t);
    await live.close();
});

test('a region without an address at the start is reached when it has one', async (t) => {
    const live = await region(LIVE);
    const names = new Names({ [NAME]: null });
    await withProxy([live], named(live.port, { hold: { ms: 0 } }), async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db/doc`)).status, 503);
        names.set({ [NAME]: [LIVE] });
        await until('an answer', async () => (await get(proxy)) === LIVE);
    }, names.env)(t);
    await live.close();
});

test('with TLS an address that takes connections and fails the handshake is overtaken, by probes too', async (t) => {
    const authority = new Authority();
    const live = await TlsRegion.start('left', authority.leaf(NAME, `DNS:${NAME}`));
    const { port } = new URL(live.origin);
    const wrong = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    wrong.unref();
    await new Promise((resolve) => wrong.listen(Number(port), '127.0.0.2', resolve));
    const names = new Names({ [NAME]: ['127.0.0.2', LIVE] });
    await withProxy([live], named(port, { scheme: 'https', tls: { ca_file: authority.file } }), async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db/doc`)).json.servername, NAME);
        assert.equal(await addresses(proxy), `127.0.0.2 ${LIVE}*`);
        await until('a good probe', async () => (await proxy.region('left')).health === 'up');
        assert.equal((await proxy.region('left')).failures, 0);
    }, names.env)(t);
    live.kill();
    wrong.close();
});
