// Applications prove to the proxy who they are: with nano, PouchDB, IBM's SDK and couchbackup, by Basic, by session and by
// certificate. Regions are real servers with credentials of their own (DAVENPORT_E2E_REGIONS, type basic), or pouchdb-servers that
// believe everybody (type bearer), or in memory, or scripted.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import test from 'node:test';
import { CloudantV1, CouchdbSessionAuthenticator } from '@ibm-cloud/cloudant';
import nano from 'nano';
import PouchCore from 'pouchdb-core';
import PouchHttp from 'pouchdb-adapter-http';
import { CouchRegion } from '../support/couch_region.mjs';
import { GuardedRegion } from '../support/guarded_region.mjs';
import { couch, request } from '../support/http.mjs';
import { BINARY, Proxy, withProxy } from '../support/proxy.mjs';
import { createDatabase, everywhere } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { Authority } from '../support/tls.mjs';
import { scratch, until } from '../support/wait.mjs';
import { backup, branchesOf, Keeper, restore } from './parties.mjs';

const PouchDB = PouchCore.plugin(PouchHttp);
const suite = useRegions(2);
const SECRET = 'the secret of all sidecars';
const users = { ann: ['pencil-case', '_admin'], bob: ['b0b:pw', ''] };

// As an operator makes them.
const hashes = Object.fromEntries(
    Object.entries(users).map(([name, [password]], i) => {
        const run = spawnSync(BINARY, ['hash-password', ...(i ? ['--scrypt'] : [])], { input: `${password}\n`, encoding: 'utf8' });
        assert.equal(run.status, 0, run.stderr);
        return [name, run.stdout.trim()];
    }),
);
const clients = {
    session_secret: '${env:DP_E2E_SECRET}',
    users: Object.fromEntries(Object.entries(users).map(([name, [, roles]]) => [name, { password: hashes[name], roles: roles || undefined }])),
};
const env = { DP_E2E_SECRET: SECRET };
const file = join(scratch('token'), 'token');
writeFileSync(file, 'a-token-nobody-asks-for');
function ours(region) {
    if (!region.auth) {
        return { type: 'bearer', token_file: file };
    }
    const [username, password] = region.auth.slice(0, -1).split(/:(.*)/s).map(decodeURIComponent);
    return { type: 'basic', username, password };
}
const lent = () => ({
    clients,
    regions: suite.regions.map((region) => ({ name: region.name, url: region.origin, credentials: ours(region) })),
});
const ready = (proxy) =>
    until('credentials to be there', async () => (await proxy.status()).regions.every((one) => one.credentials.state === 'in_use'));
const lending = (body, over = {}) => async (t) => {
    await withProxy(suite.regions, { ...lent(), ...over }, async (proxy) => {
        await ready(proxy);
        await body(proxy, t);
    }, env)(t);
};
const as = (proxy, name, password = users[name][0]) => proxy.origin.replace('://', `://${encodeURIComponent(name)}:${encodeURIComponent(password)}@`);

test('nano: Basic, and a session that survives a failover', lending(async (proxy) => {
    const basic = nano(as(proxy, 'ann')).use(suite.db);
    assert.equal((await basic.insert({ by: 'ann' }, `nano-${Date.now()}`)).ok, true);
    await assert.rejects(nano(as(proxy, 'ann', 'wrong')).use(suite.db).list(), (error) => error.statusCode === 401);
    await assert.rejects(nano(proxy.origin).use(suite.db).list(), (error) => error.statusCode === 401);

    const session = nano({ url: proxy.origin, requestDefaults: { jar: true } });
    const said = await session.auth('bob', users.bob[0]);
    assert.deepEqual([said.ok, said.name, said.roles], [true, 'bob', []]);
    assert.equal((await session.session()).userCtx.name, 'bob');
    await session.use(suite.db).list();
    const before = await proxy.active();
    await suite.regions.find((one) => one.name === before).kill();
    await until('the other region', async () => (await proxy.active()) !== before);
    await session.use(suite.db).list();
    assert.equal((await session.session()).userCtx.name, 'bob');
}));

test('PouchDB: Basic, documents both ways', lending(async (proxy) => {
    const db = new PouchDB(`${proxy.origin}/${suite.db}`, { auth: { username: 'ann', password: users.ann[0] } });
    const id = `pouch-${Date.now()}`;
    const { rev } = await db.put({ _id: id, by: 'pouch' });
    assert.equal((await db.get(id))._rev, rev);
    const stranger = new PouchDB(`${proxy.origin}/${suite.db}`, { auth: { username: 'ann', password: 'no' }, skip_setup: true });
    await assert.rejects(stranger.get(id), (error) => error.status === 401);
}));

// It logs in by _session whenever its URL has a password.
test('couchbackup: backups and a restore by session, while a region dies', async (t) => {
    const regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name, { users: { us: 'region-pw' } })));
    const ids = Array.from({ length: 120 }, (_, i) => `doc-${i}`);
    try {
        const db = await createDatabase(regions, { replicated: true, name: 'backup' });
        const target = await createDatabase(regions, { name: 'restored' });
        await couch(`${regions[0].direct}/${db}/_bulk_docs`, { method: 'POST', json: { docs: ids.map((_id) => ({ _id })) } });
        await everywhere(regions, db, ids);
        const lend = ({ name, origin }) => ({ name, url: origin, credentials: { type: 'basic', username: 'us', password: 'region-pw' } });
        await withProxy(regions, { clients, regions: regions.map(lend) }, async (proxy) => {
            await ready(proxy);
            const url = (name, ...who) => `${as(proxy, ...who)}/${name}`;
            const folder = scratch('backups');
            await assert.rejects(backup(url(db, 'ann', 'wrong'), join(folder, 'none')), (error) => error.name === 'Unauthorized');
            const keeper = new Keeper(url(db, 'ann'), folder, []);
            const some = async () => {
                const begun = keeper.steps;
                await until('two more backups', () => keeper.steps >= begun + 2);
            };
            await some();
            await regions[0].kill();
            await proxy.untilActive('right');
            await some();
            await keeper.stop();
            t.diagnostic(keeper.tell());
            assert.deepEqual(keeper.failures, []);
            const { rows } = await couch(`${regions[1].direct}/${db}/_all_docs`);
            const wanted = rows.map(({ id, value }) => `${id} ${value.rev}`).sort();
            assert.equal(wanted.length, ids.length + 2);
            keeper.files.forEach((file) => assert.deepEqual(branchesOf(file), wanted, file));
            await restore(keeper.files.at(-1), url(target, 'ann'));
            const there = await couch(`${regions[1].direct}/${target}/_all_docs`);
            assert.deepEqual(there.rows.map(({ id, value }) => `${id} ${value.rev}`).sort(), wanted);
        }, env)(t);
    } finally {
        await Promise.all(regions.map((region) => region.close()));
    }
});

test('IBM\'s SDK: its session authenticator', lending(async (proxy) => {
    const service = new CloudantV1({ authenticator: new CouchdbSessionAuthenticator({ username: 'ann', password: users.ann[0] }) });
    service.setServiceUrl(proxy.origin);
    const id = `sdk-${Date.now()}`;
    assert.equal((await service.putDocument({ db: suite.db, docId: id, document: { by: 'sdk' } })).status, 201);
    assert.equal((await service.getSessionInformation()).result.userCtx.name, 'ann');
    const wrong = new CloudantV1({ authenticator: new CouchdbSessionAuthenticator({ username: 'ann', password: 'wrong' }) });
    wrong.setServiceUrl(proxy.origin);
    await assert.rejects(wrong.getAllDbs(), (error) => error.status === 401 || /401|Unauthorized/i.test(error.message));
}));

const login = (proxy, name, password = users[name][0]) => request(`${proxy.origin}/_session`, { method: 'POST', json: { name, password } });
const cookie = (answer) => answer.headers['set-cookie'][0].split(';')[0];

test('a session is good on all workers and in all sidecars of one secret, over a restart too', lending(async (proxy) => {
    const answer = await login(proxy, 'ann');
    assert.equal(answer.status, 200);
    assert.match(answer.headers['set-cookie'][0], /; HttpOnly; SameSite=Strict$/);
    const headers = { cookie: cookie(answer) };
    const get = (where) => request(`${where.origin}/${suite.db}`, { headers });
    const on = new Set();
    for (let i = 0; i < 20; i += 1) { // a connection each: the kernel spreads them
        on.add((await get(proxy)).status);
    }
    assert.deepEqual([...on], [200]);
    const other = await Proxy.start(suite.regions, lent(), env);
    const stranger = await Proxy.start(suite.regions, lent(), { DP_E2E_SECRET: 'another secret, and long enough' });
    await Promise.all([ready(other), ready(stranger)]);
    assert.equal((await get(other)).status, 200);
    assert.equal((await get(stranger)).status, 401);
    await Promise.all([other.stop(), stranger.stop()]);
    // A new password ends the session.
    const fresh = spawnSync(BINARY, ['hash-password'], { input: 'new', encoding: 'utf8' }).stdout.trim();
    const config = { ...proxy.config, clients: { ...clients, users: { ...clients.users, ann: { password: fresh } } } };
    writeFileSync(proxy.configPath, JSON.stringify(config));
    const reload = await proxy.order('reload');
    assert.equal(reload.status, 200, reload.text);
    assert.match(reload.text, /clients\.users\.ann: changed/);
    assert.equal((await get(proxy)).status, 401);
    assert.equal((await login(proxy, 'ann', 'new')).status, 200);
}, { workers: 2 }));

test('wrong passwords lock the name for that address, and say so', lending(async (proxy) => {
    for (let i = 0; i < 5; i += 1) {
        assert.equal((await login(proxy, 'bob', `wrong ${i}`)).status, 401);
    }
    const locked = await login(proxy, 'bob');
    assert.deepEqual([locked.status, locked.json.error], [403, 'forbidden']);
    assert.match(locked.json.reason, /temporarily locked/);
    assert.equal((await login(proxy, 'ann')).status, 200);
    assert.equal(await proxy.metric('davenport_client_logins_wrong_total'), 5);
    assert.ok((await proxy.metric('davenport_client_logins_locked_total')) >= 1);
    const told = [JSON.stringify(await proxy.status()), await proxy.metrics(), proxy.child.text(), readFileSync(proxy.journal, 'utf8'),
        JSON.stringify(await proxy.events()), Proxy.run(['check', '-c', proxy.configPath, '--print'], { env: { ...process.env, ...env } }).stdout].join('\n');
    for (const secret of [SECRET, users.ann[0], users.bob[0], ...Object.values(hashes), 'wrong 1', 'a-token-nobody']) {
        assert.equal(told.includes(secret), false, `"${secret}" shows`);
    }
}));

test('couchdb_proxy: the region is told who asks, signed; and nobody else can say that', async (t) => {
    for (const hash of ['sha1', 'sha256']) {
        const region = await GuardedRegion.start('left', { secret: 'shared by both', hash });
        const regions = [{ name: 'left', url: region.origin, credentials: { type: 'couchdb_proxy', secret: 'shared by both', hash, username: 'davenport', roles: '_admin' } }];
        await withProxy([region], { clients, regions }, async (proxy) => {
            const get = (headers, at = proxy.origin) => request(`${at}/db/doc`, { headers });
            const forged = { 'x-auth-couchdb-username': 'root', 'x-auth-couchdb-roles': '_admin' };
            const got = await get(forged, as(proxy, 'bob'));
            assert.deepEqual([got.status, got.json.user, got.json.roles], [200, 'bob', []]);
            assert.deepEqual((await get({}, as(proxy, 'ann'))).json.roles, ['_admin']);
            assert.equal((await get(forged)).status, 401);
            // A wrong secret makes everybody nobody: found out by asking who we are.
            region.secret = 'changed';
            await get({}, as(proxy, 'bob'));
            await until('it to be noticed', async () => (await proxy.region('left')).credentials.state === 'refused');
        }, env)(t);
        await region.close();
    }
});

test('a certificate is enough, by TLS cookies are Secure, and a listener for all needs either', async (t) => {
    const server = new Authority('server').leaf('localhost', 'DNS:localhost,IP:127.0.0.1');
    const authority = new Authority('clients');
    const ours = authority.leaf('app', 'DNS:app');
    const region = await GuardedRegion.start('left', { users: { us: 'pw' } });
    const regions = [{ name: 'left', url: region.origin, credentials: { type: 'basic', username: 'us', password: 'pw' } }];
    const ask = (proxy, path, options = {}, body) => new Promise((resolve, reject) => {
        const outgoing = https.request({ host: '127.0.0.1', port: proxy.port, path, rejectUnauthorized: false, agent: false, ...options }, (answer) => {
            answer.resume().on('end', () => resolve(answer));
        });
        outgoing.on('error', reject);
        outgoing.end(body);
    });
    const tls = { cert_file: server.cert, key_file: server.key };
    await withProxy([region], { regions, listen: { address: '0.0.0.0', tls: { ...tls, client_ca_file: authority.file } } }, async (proxy) => {
        const mine = { cert: readFileSync(ours.cert), key: readFileSync(ours.key) };
        assert.equal((await ask(proxy, '/db/doc', mine)).statusCode, 200);
        await assert.rejects(ask(proxy, '/db/doc'));
    })(t);
    await withProxy([region], { regions, clients, listen: { address: '0.0.0.0', tls } }, async (proxy) => {
        assert.equal((await ask(proxy, '/db/doc')).statusCode, 401);
        const body = JSON.stringify({ name: 'ann', password: users.ann[0] });
        const answer = await ask(proxy, '/_session', { method: 'POST', headers: { 'content-type': 'application/json' } }, body);
        assert.match(answer.headers['set-cookie'][0], /; Secure$/);
        assert.equal((await ask(proxy, '/db/doc', { headers: { cookie: cookie(answer) } })).statusCode, 200);
    }, env)(t);
    await region.close();
});
