// What operators and monitoring see: the admin address, the subcommands, exit codes.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { request } from '../support/http.mjs';
import { configuration, Proxy, withProxy } from '../support/proxy.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, until } from '../support/wait.mjs';

let regions;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach((region) => region.on(/^GET \/db/, [answer(200, { from: region.name })]));
});
after(() => Promise.all(regions.map((region) => region.close())));

const proxied = (body) => withProxy(() => regions, {}, body);
const up = (proxy) => until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));

test(
    'GET /status',
    proxied(async (proxy) => {
        await up(proxy);
        for (let i = 0; i < 5; i += 1) {
            assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
        }
        const status = await until('the counts', async () => {
            const got = await proxy.status();
            return got.regions[0].outcomes.answered === 5 && got.regions[0].latency_ms !== null && got.totals.answered_2xx === 5 && got;
        });
        assert.equal(status.active, 'left');
        assert.equal(status.ready, true);
        assert.equal(status.listen, proxy.origin.slice('http://'.length));
        assert.deepEqual(status.regions.map((region) => [region.name, region.url, region.health, region.active]), [
            ['left', regions[0].origin, 'up', true],
            ['right', regions[1].origin, 'up', false],
        ]);
        const [left] = status.regions;
        assert.ok(Date.parse(left.since) <= Date.now());
        assert.notEqual(left.why, '');
        assert.ok(left.latency_ms > 0);
        assert.equal(left.attempts, 5);
        assert.equal(status.totals.requests, 5);
    }),
);

test(
    'GET /metrics, as promtool wants it',
    proxied(async (proxy, t) => {
        await up(proxy);
        await request(`${proxy.origin}/db/a`);
        const text = await proxy.metrics();
        const promtool = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
        if (promtool.error) {
            t.diagnostic('promtool is not installed here');
        } else {
            assert.equal(promtool.status, 0, promtool.stdout + promtool.stderr);
            assert.equal(promtool.stdout + promtool.stderr, '');
        }
        assert.equal(await proxy.metric('davenport_client_requests_total'), 1);
        assert.match(text, /^davenport_region_active\{region="left"\} 1$/m);
        assert.match(text, /^davenport_region_active\{region="right"\} 0$/m);
    }),
);

test(
    'GET /healthz, /readyz, /events',
    proxied(async (proxy) => {
        await up(proxy);
        assert.equal((await request(`${proxy.admin}/healthz`)).status, 200);
        assert.equal((await request(`${proxy.admin}/readyz`)).status, 200);
        const ready = proxy.cli('status', '--ready');
        assert.deepEqual([ready.status, ready.stdout, ready.stderr], [0, 'ready\n', '']);
        assert.deepEqual(JSON.parse(proxy.cli('status', '--ready', '--json').stdout), { status: 'ready' });
        await until('what is kept in memory and what the journal has to be the same', async () => {
            const { json: events } = await request(`${proxy.admin}/events`);
            return Array.isArray(events) && events.length > 0 && isDeepStrictEqual(events, proxy.journalLines());
        });
    }),
);

test(
    'what the admin address refuses',
    proxied(async (proxy) => {
        const ask = (path, options) => request(`${proxy.admin}${path}`, options).then((got) => got.status);
        assert.equal(await ask('/nothing'), 404);
        assert.equal(await ask('/status', { method: 'POST', json: {} }), 405);
        assert.equal(await ask('/switch'), 405);
        // A web page in the operator's browser can neither read it nor send it orders.
        assert.equal(await ask('/status', { headers: { host: 'evil.example' } }), 403);
        assert.equal(await ask('/switch', { method: 'POST', json: { region: 'right' } }), 403);
        assert.equal((await proxy.move('nowhere', 'x')).status, 404);
        assert.equal(await proxy.active(), 'left');
        // And the applications' address knows nothing of it.
        assert.equal((await request(`${proxy.origin}/metrics`)).status, 404);
    }),
);

test(
    'davenport status',
    proxied(async (proxy) => {
        await up(proxy);
        const address = proxy.admin.slice('http://'.length);
        const text = Proxy.ask(['status', '--admin', address]);
        assert.equal(text.status, 0, text.stderr);
        assert.match(text.stdout, /left/);
        assert.match(text.stdout, /right/);
        const json = Proxy.ask(['status', '--json', '--admin', address]);
        assert.equal(json.status, 0, json.stderr);
        assert.equal(JSON.parse(json.stdout).active, 'left');
        // By the configuration file instead of the address only where that names a port.
        const moved = Proxy.ask(['switch', 'right', '--admin', address, '--reason', 'a test']);
        assert.equal(moved.status, 0, moved.stderr);
        await proxy.untilActive('right');
    }),
);

test('davenport status of nothing fails', () => {
    const got = Proxy.run(['status', '--admin', '127.0.0.1:1']);
    assert.notEqual(got.status, 0);
    assert.notEqual(got.stderr, '');
});

test('an admin address that is a Unix socket', async (t) => {
    const path = join(scratch('admin'), 'admin.sock');
    const config = configuration(regions, { admin: { listen: `unix:${path}` } });
    const proxy = new Proxy(config);
    await proxy.run();
    proxy.admin = 'http://localhost';
    const got = await new Promise((resolve, reject) => {
        http.get({ socketPath: path, path: '/status', headers: { host: 'localhost' } }, (res) => {
            res.resume();
            resolve(res.statusCode);
        }).on('error', reject);
    });
    assert.equal(got, 200);
    const text = Proxy.ask(['status', '--admin', `unix:${path}`]);
    assert.equal(text.status, 0, text.stderr);
    t.diagnostic(text.stdout);
    await proxy.stop();
});

// Configuration.

function check(document, args = ['check']) {
    const path = join(scratch('config'), 'davenport.json');
    writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document));
    return { path, ...Proxy.run([...args, '-c', path]) };
}

test('davenport check: a good configuration', () => {
    const good = check(configuration(regions));
    assert.equal(good.status, 0, good.stderr);
});

test('davenport check: everything that is wrong, with file, key and reason', () => {
    const bad = check(
        configuration(regions, {
            workers: 'many',
            unknown_key: 1,
            probe: { fall: 0, intervall_ms: 5 },
            regions: [
                { name: 'Left!', url: 'http://127.0.0.1:1' },
                { name: 'right', url: 'ftp://127.0.0.1:1' },
            ],
        }),
    );
    assert.notEqual(bad.status, 0);
    for (const key of ['workers', 'unknown_key', 'probe.fall', 'probe.intervall_ms', 'regions[0].name', 'regions[1].url']) {
        const line = bad.stderr.split('\n').find((candidate) => candidate.includes(key));
        assert.ok(line, `${key} is missing in:\n${bad.stderr}`);
        assert.ok(line.includes(bad.path), line);
    }
});

test('davenport serve refuses a bad configuration as check does', () => {
    for (const document of ['{', '[]', '{"regions":[]}', JSON.stringify({ ...configuration(regions), listen: { port: 70_000 } })]) {
        const got = check(document, ['serve']);
        assert.notEqual(got.status, 0, document);
        assert.ok(got.stderr.includes(got.path), got.stderr);
    }
    const absent = Proxy.run(['serve', '-c', '/nonexistent/davenport.json']);
    assert.notEqual(absent.status, 0);
});

test('a secret is never shown', () => {
    const document = configuration(regions);
    document.regions[0].credentials = { username: 'u', password: 'hunter2secret' };
    const config = join(scratch('config'), 'davenport.json');
    writeFileSync(config, JSON.stringify(document));
    for (const args of [['check', '-c', config], ['check', '--dump', '-c', config]]) {
        const got = Proxy.run(args);
        assert.doesNotMatch(got.stdout + got.stderr, /hunter2/);
    }
});

test('a port that is taken', () => {
    const got = check(configuration(regions, { listen: { port: regions[0].port } }), ['serve']);
    assert.notEqual(got.status, 0);
    assert.match(got.stderr, new RegExp(String(regions[0].port)));
});

test('help and version', () => {
    for (const args of [['--help'], ['help'], ['--version']]) {
        const got = Proxy.run(args);
        assert.equal(got.status, 0, `${args}: ${got.stderr}`);
        assert.match(got.stdout, /davenport/i);
    }
    assert.notEqual(Proxy.run(['dance']).status, 0);
});
