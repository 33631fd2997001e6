// Davenport's own credentials towards regions: each type, what is told when one is refused, and that no secret shows.
// The token service and the regions are stand-ins (tests/support).

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { calm } from '../support/calm.mjs';
import { GuardedRegion } from '../support/guarded_region.mjs';
import { request } from '../support/http.mjs';
import { IamService } from '../support/iam_service.mjs';
import { Proxy, withProxy } from '../support/proxy.mjs';
import { scratch, until } from '../support/wait.mjs';

const state = async (proxy, name) => (await proxy.region(name)).credentials.state;
const isState = (proxy, name, want) => until(`${name}: ${want}`, async () => (await state(proxy, name)) === want);
const up = (proxy, ...names) =>
    until('regions to be up', async () => (await proxy.status()).regions.filter((one) => names.includes(one.name)).every((one) => one.health === 'up'));
const get = (proxy, path = '/db/doc', headers = {}) => request(`${proxy.origin}${path}`, { headers });
const entry = (region, credentials) => ({ name: region.name, url: region.origin, credentials });

async function together(...regions) {
    const all = await Promise.all(regions);
    return { all, close: () => Promise.all(all.map((one) => one.close())) };
}

test('basic: requests and probes carry ours, and nothing of the client\'s', async (t) => {
    const { all: [left, right], close } = await together(
        GuardedRegion.start('left', { users: { us: 'pw-left' } }),
        GuardedRegion.start('right', { users: { other: 'pw-right' } }),
    );
    const regions = [
        entry(left, { type: 'basic', username: 'us', password: 'pw-left' }),
        entry(right, { type: 'basic', username: 'other', password: 'pw-right' }),
    ];
    await withProxy([left, right], calm({ regions }), async (proxy) => {
        await up(proxy, 'left', 'right');
        const got = await get(proxy, '/db/doc', { authorization: 'Basic eDp5', cookie: 'AuthSession=foreign', 'x-auth-couchdb-username': 'root' });
        assert.deepEqual([got.status, got.json.user, got.json.from], [200, 'us', 'left']);
        assert.equal(left.seen(/db\/doc/).at(-1).headers.cookie, undefined);
        assert.equal(left.seen(/db\/doc/).at(-1).headers['x-auth-couchdb-username'], undefined);
        await left.kill();
        const next = await until('the other region', async () => {
            const one = await get(proxy);
            return one.status === 200 && one.json;
        });
        assert.deepEqual([next.user, next.from], ['other', 'right']);
    })(t);
    await close();
});

test('a wrong password is used once or twice, not until the account is locked', async (t) => {
    const { all: [left, right], close } = await together(
        GuardedRegion.start('left', { users: { us: 'right one' } }),
        GuardedRegion.start('right', { users: { us: 'pw' } }),
    );
    const regions = [
        entry(left, { type: 'basic', username: 'us', password: 'wrong one' }),
        entry(right, { type: 'basic', username: 'us', password: 'pw' }),
    ];
    await withProxy([left, right], calm({ regions, credentials: { retry_ms: 600_000 } }), async (proxy) => {
        await isState(proxy, 'left', 'refused');
        await proxy.untilActive('right');
        for (let i = 0; i < 20; i += 1) {
            const got = await get(proxy);
            assert.deepEqual([got.status, got.json.from], [200, 'right']);
        }
        const status = await proxy.region('left');
        assert.equal(status.health, 'up', 'it is no evidence against the region');
        assert.equal(status.credentials.type, 'basic');
        assert.ok(status.credentials.retry_at);
        assert.ok(left.failures >= 1 && left.failures <= 2, `${left.failures} failed logins`);
        assert.ok(proxy.events && (await proxy.events()).some((one) => one.event === 'credentials_withheld' && one.region === 'left'));
        assert.match(await proxy.metrics(), /davenport_region_credentials_withheld\{region="left"\} 1/);
        assert.match(proxy.cli('explain').stdout, /credentials: .*it takes no requests/);
        // The password is set right in the region, and a reload says "try again".
        left.users.us = 'wrong one';
        left.locked = {};
        assert.equal((await proxy.order('reload')).status, 200);
        await isState(proxy, 'left', 'in_use');
    })(t);
    await close();
});

test('a key that is refused while it is in use: the request is answered elsewhere, and nobody uses it again', async (t) => {
    const { all: [left, right], close } = await together(
        GuardedRegion.start('left', { users: { us: 'pw' } }),
        GuardedRegion.start('right', { users: { us: 'pw' } }),
    );
    const regions = [left, right].map((one) => entry(one, { type: 'basic', username: 'us', password: 'pw' }));
    // Probes far apart: requests find out.
    const probe = { interval_ms: 60_000, fast_interval_ms: 100 };
    await withProxy([left, right], calm({ regions, probe, credentials: { retry_ms: 500 } }), async (proxy) => {
        await up(proxy, 'left', 'right');
        assert.equal((await get(proxy)).json.from, 'left');
        left.users.us = 'changed';
        const changed = Date.now();
        const got = await request(`${proxy.origin}/db/doc`, { method: 'PUT', json: { n: 1 } });
        assert.deepEqual([got.status, got.json.from], [201, 'right']);
        for (let i = 0; i < 10; i += 1) {
            assert.equal((await get(proxy)).json.from, 'right');
        }
        await isState(proxy, 'left', 'refused');
        // Once or twice, and once more each time that retry_ms is over.
        assert.ok(left.failures <= 2 + (Date.now() - changed) / 500, `${left.failures} failed logins`);
        left.users.us = 'pw';
        left.locked = {}; // on a machine that is slow there may have been five
        await isState(proxy, 'left', 'in_use');
    })(t);
    await close();
});

test('iam: a token for the API key, renewed in time, kept through an outage of the service', async (t) => {
    const key = 'api-key-of-ours';
    const iam = await IamService.start({ key });
    iam.life_s = 4;
    const { all: [left], close } = await together(GuardedRegion.start('left', { bearers: { has: (token) => iam.tokens.includes(token) } }));
    const regions = [entry(left, { type: 'iam', api_key: '${env:DP_E2E_KEY}', token_url: iam.url })];
    await withProxy([left], calm({ regions, hold: { ms: 2_000 } }), async (proxy) => {
        await isState(proxy, 'left', 'in_use');
        assert.equal((await get(proxy)).json.user, 'iam-user');
        await until('a second token', () => iam.tokens.length >= 2);
        assert.ok(iam.asks <= 3);
        // An outage changes nothing as long as the token lasts, and says so. Where it was over before we looked, another outage.
        for (let tries = 1; ; tries += 1) {
            assert.ok(tries <= 10, 'each outage was over before it was looked at');
            await isState(proxy, 'left', 'in_use');
            await iam.close();
            const { failures } = (await proxy.region('left')).credentials;
            const told = await until('the failure to be told', async () => {
                const { credentials } = await proxy.region('left');
                return credentials.failures > failures && credentials;
            });
            const got = await get(proxy);
            if ((await state(proxy, 'left')) === 'in_use') {
                assert.equal(told.state, 'in_use');
                assert.equal(got.status, 200);
                break;
            }
            await iam.revive();
        }
        await isState(proxy, 'left', 'expired');
        assert.equal((await proxy.region('left')).health, 'up');
        await iam.revive();
        await isState(proxy, 'left', 'in_use');
        assert.equal((await get(proxy)).status, 200);
    }, { DP_E2E_KEY: key })(t);
    await iam.close();
    await close();
});

test('iam: a request that comes before the first token waits for it', async (t) => {
    const iam = await IamService.start({ key: 'k' });
    iam.mode = 'busy';
    const { all: [left], close } = await together(GuardedRegion.start('left', { bearers: { has: (token) => iam.tokens.includes(token) } }));
    const regions = [entry(left, { type: 'iam', api_key: 'k', token_url: iam.url })];
    await withProxy([left], calm({ regions }), async (proxy) => {
        await until('the first no', () => iam.asks > 0);
        const waiting = get(proxy);
        await until('it to wait', async () => (await proxy.metric('davenport_requests_held')) > 0);
        iam.mode = 'ok';
        assert.equal((await waiting).status, 200);
    })(t);
    await iam.close();
    await close();
});

test('bearer: a file that is read again', async (t) => {
    const { all: [left], close } = await together(GuardedRegion.start('left', { bearers: new Set(['one']) }));
    const file = join(scratch('token'), 'token');
    writeFileSync(file, 'one\n');
    const regions = [entry(left, { type: 'bearer', token_file: file })];
    await withProxy([left], calm({ regions }), async (proxy) => {
        await isState(proxy, 'left', 'in_use');
        assert.equal((await get(proxy)).status, 200);
        left.bearers.add('two');
        writeFileSync(file, 'two\n');
        await until('the new one', async () => (await proxy.region('left')).credentials.renewals === 2);
        left.bearers.delete('one');
        assert.equal((await get(proxy)).status, 200);
        writeFileSync(file, '');
        await until('the trouble to be told', async () => (await proxy.region('left')).credentials.why !== null);
        assert.equal((await get(proxy)).status, 200);
    })(t);
    await close();
});

test('no secret shows anywhere', async (t) => {
    const secrets = ['basic-s3cret', 'iam-k3y-of-ours', 'token-in-a-f1le'];
    const iam = await IamService.start({ key: secrets[1] });
    const { all, close } = await together(
        GuardedRegion.start('left', { users: { us: secrets[0] } }),
        GuardedRegion.start('right', { bearers: { has: (token) => iam.tokens.includes(token) } }),
        GuardedRegion.start('third', { bearers: new Set([secrets[2]]) }),
    );
    const file = join(scratch('token'), 'token');
    writeFileSync(file, secrets[2]);
    const regions = [
        entry(all[0], { type: 'basic', username: 'us', password: secrets[0] }),
        entry(all[1], { type: 'iam', api_key: secrets[1], token_url: iam.url }),
        entry(all[2], { type: 'bearer', token_file: file }),
    ];
    const log = join(scratch('log'), 'access.jsonl');
    // Probes far apart: requests find out.
    const probe = { interval_ms: 60_000 };
    const over = { regions, probe, log: { level: 'debug' }, access_log: { path: log, flush_ms: 50 }, credentials: { retry_ms: 600_000 } };
    await withProxy(all, calm(over), async (proxy) => {
        await until('all to be in use', async () => (await proxy.status()).regions.every((one) => one.credentials.state === 'in_use'));
        assert.equal((await get(proxy)).status, 200);
        for (const region of all) { // each of them is used, and each is refused
            await proxy.move(region.name, 'a look at it');
            await get(proxy);
            Object.assign(region, { users: {}, bearers: new Set() });
        }
        assert.equal((await get(proxy)).status, 401); // about what? the proxy asks
        await isState(proxy, 'third', 'refused');
        await proxy.order('reload');
        const told = [
            JSON.stringify(await proxy.status()),
            await proxy.metrics(),
            JSON.stringify(await proxy.events()),
            (await request(`${proxy.admin}/explain`)).text,
            ...['status', 'explain', 'events'].map((name) => proxy.cli(name).stdout),
            ...[[], ['--print']].map((more) => {
                const run = Proxy.run(['check', '-c', proxy.configPath, ...more], { cwd: proxy.folder });
                return run.stdout + run.stderr;
            }),
            await until('the access log', () => readFileSync(log, 'utf8')),
            readFileSync(proxy.journal, 'utf8'),
            proxy.child.text(),
        ].join('\n');
        assert.ok(told.includes('credentials'));
        const basic = Buffer.from(`us:${secrets[0]}`).toString('base64');
        for (const secret of [...secrets, basic, ...iam.tokens]) {
            assert.equal(told.includes(secret), false, `"${secret}" shows`);
        }
    })(t);
    await iam.close();
    await close();
});

test('nobody lends credentials to strangers', () => {
    const folder = scratch('check');
    const check = (config) => {
        const path = join(folder, 'davenport.json');
        writeFileSync(path, JSON.stringify(config));
        return Proxy.run(['check', '-c', path]);
    };
    const regions = [{ name: 'a', url: 'http://127.0.0.1:1', credentials: { type: 'basic', username: 'u', password: '${env:HOME}' } }];
    for (const address of ['0.0.0.0', '::', '192.0.2.1']) {
        const run = check({ listen: { address }, regions });
        assert.equal(run.status, 1, run.stdout);
        assert.match(run.stderr, /regions\[0\]\.credentials\.type: lends our credentials to everybody/);
    }
    for (const address of ['127.0.0.1', '127.8.8.8', '::1', 'unix:/tmp/davenport-test.sock']) {
        const run = check({ listen: { address }, regions });
        assert.equal(run.status, 0, run.stderr);
    }
    const bad = [
        [{ type: 'basic', username: 'u' }, /credentials\.password: missing: type basic needs it/],
        [{ type: 'iam' }, /credentials\.api_key: missing: type iam needs it/],
        [{ type: 'iam', api_key: 'k', token_url: 'http://iam.example/x' }, /token_url: must begin with https/],
        [{ type: 'bearer', token_file: '/nowhere/token' }, /token_file: the file can't be read/],
        [{ type: 'basic', username: 'u', password: 'p', secret: 's' }, /secret: is not for type basic/],
        [{ type: 'kerberos' }, /type: must be "passthrough" or/],
        [{ username: 'u' }, /credentials\.password: missing/],
    ];
    for (const [credentials, reason] of bad) {
        const run = check({ regions: [{ name: 'a', url: 'http://127.0.0.1:1', credentials }] });
        assert.equal(run.status, 1);
        assert.match(run.stderr, reason);
    }
});
