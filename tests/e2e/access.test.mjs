// Who may ask at the operators' address, over TCP with TLS and tokens: by the API and by the commands.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { leashed } from '../support/child.mjs';
import { CouchRegion } from '../support/couch_region.mjs';
import { Drill } from '../support/drill.mjs';
import { request } from '../support/http.mjs';
import { BINARY, configuration, Proxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { LIMIT_MS, scratch, until, within } from '../support/wait.mjs';

const authority = new Authority();
const folder = scratch('access');
let regions;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
});
after(() => Promise.all(regions.map((region) => region.close())));

/** davenport token: the file it wrote, what is in it, and its hash. */
function makeToken(name) {
    const file = join(folder, name);
    const made = Proxy.run(['token', '--output', file, '--json']);
    assert.equal(made.status, 0, made.stderr);
    const token = readFileSync(file, 'utf8').trim();
    assert.match(token, /^dvp_[0-9a-f]{64}$/);
    assert.equal(made.stdout.includes(token), false, 'the token is in its file and nowhere else');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    return { file, token, hash: JSON.parse(made.stdout).hash };
}

const ops = makeToken('ops');
const prom = makeToken('prom');
const tokens = { ops: { hash: ops.hash, role: 'operator' }, prom: { hash: prom.hash } };

/** A proxy whose operators' address speaks TLS and asks for a token. */
class Guarded {
    static async start(over = {}) {
        const guarded = new Guarded();
        const leaf = authority.leaf('localhost', 'DNS:localhost,IP:127.0.0.1');
        const tls = { cert_file: join(folder, 'admin.pem'), key_file: join(folder, 'admin.key') };
        copyFileSync(leaf.cert, tls.cert_file);
        copyFileSync(leaf.key, tls.key_file);
        guarded.proxy = new Proxy(configuration(regions, { admin: { tls, tokens, ...over } }));
        await guarded.proxy.run();
        guarded.port = Number(new URL(guarded.proxy.admin).port);
        guarded.address = `https://localhost:${guarded.port}`;
        return guarded;
    }

    /** One request: {status, headers, text}. */
    ask(path, { method = 'GET', headers = {}, body } = {}) {
        return new Promise((resolve, reject) => {
            const outgoing = https.request(
                { host: '127.0.0.1', port: this.port, path, method, headers, ca: readFileSync(authority.file), agent: false, timeout: LIMIT_MS },
                (answer) => {
                    let text = '';
                    this.certificate = answer.socket.getPeerCertificate().fingerprint256;
                    answer.on('data', (part) => (text += part));
                    answer.on('error', reject);
                    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
                },
            );
            outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
            outgoing.on('error', reject);
            outgoing.end(body);
        });
    }

    order(name, token) {
        const headers = { authorization: `Bearer ${token}`, 'davenport-admin': '1', 'content-type': 'application/json' };
        return this.ask(`/${name}`, { method: 'POST', headers, body: '{}' });
    }

    cli(token, ...args) {
        return Proxy.ask([...args, '--admin', this.address, '--ca', authority.file, ...(token ? ['--token-file', token.file] : [])]);
    }

    lines(event) {
        return this.proxy.journalLines().filter((line) => line.event === event);
    }

    /** Nothing that it ever wrote holds a token. */
    async stop() {
        await this.proxy.stop();
        const written = this.proxy.child.text() + readFileSync(this.proxy.journal, 'utf8');
        [ops, prom].forEach(({ token, hash }) => {
            assert.equal(written.includes(token), false, 'a token was written');
            assert.equal(written.includes(hash.slice(7)), false, 'a hash was written');
        });
    }
}

const guarded = (body, over) => async (t) => {
    const it = await Guarded.start(over);
    try {
        await body(it, t);
    } finally {
        await it.stop();
    }
};

test(
    'what is answered without a token, with a wrong one, and by role',
    guarded(async (it) => {
        const bearer = (token) => ({ headers: { authorization: `Bearer ${token}` } });
        const bare = await it.ask('/status');
        assert.equal(bare.status, 401);
        assert.equal(bare.headers['www-authenticate'], 'Bearer realm="davenport admin"');
        assert.deepEqual(JSON.parse(bare.text), { error: 'unauthorized', reason: 'a token is needed: Authorization: Bearer TOKEN' });
        assert.equal((await it.ask('/healthz')).status, 200);
        await until('it to be ready', async () => (await it.ask('/readyz')).status === 200);
        assert.match((await it.ask('/status', bearer(`dvp_${'0'.repeat(64)}`))).headers['www-authenticate'], /error="invalid_token"/);
        assert.equal((await it.ask('/metrics', bearer(prom.token))).status, 200);
        assert.deepEqual(JSON.parse((await it.ask('/whoami', bearer(prom.token))).text), { actor: 'prom', role: 'read', by: 'token' });
        assert.deepEqual(JSON.parse((await it.ask('/whoami', bearer(ops.token))).text), { actor: 'ops', role: 'operator', by: 'token' });
        assert.equal((await it.order('freeze', prom.token)).status, 403);
        assert.equal((await it.ask('/freeze', { method: 'POST', ...bearer(ops.token), body: '{}' })).status, 403, 'without Davenport-Admin');
        assert.equal((await it.order('freeze', ops.token)).status, 200);
        const [frozen] = await until('the journal to have it', () => it.lines('freeze').length === 1 && it.lines('freeze'));
        assert.equal(frozen.actor, 'operator (token ops, loopback)');
        const refused = await until('both refusals in the journal', () => it.lines('access_refused').length === 2 && it.lines('access_refused'));
        assert.deepEqual(refused.map(({ actor, reason }) => [actor, reason]), [
            ['loopback', 'a token that is not known'],
            ['token prom, loopback', 'a token of role read asked for a change'],
        ]);
        // Applications' address has no part in it.
        assert.equal((await request(`${it.proxy.origin}/whoami`, bearer(ops.token))).headers['www-authenticate'], undefined);
    }),
);

test(
    'wrong tokens are counted: 429 after ten, ten lines in the journal, and a right one passes all the same',
    guarded(async (it) => {
        // At once, for they are counted over a minute.
        const guess = (_, i) => it.ask('/status', { headers: { authorization: `Bearer guess-${i}` } });
        const answers = await Promise.all(Array.from({ length: 15 }, guess));
        answers.forEach((got) => assert.equal(got.headers['retry-after'], got.status === 429 ? '60' : undefined));
        assert.deepEqual(answers.map((got) => got.status).sort(), [...Array(10).fill(401), ...Array(5).fill(429)]);
        assert.equal((await it.order('freeze', ops.token)).status, 200);
        await until('the order in the journal', () => it.lines('freeze').length === 1);
        assert.equal(it.lines('access_refused').length, 10);
    }),
);

test(
    'the commands: --admin https, --ca, --token-file',
    guarded(async (it) => {
        const nobody = it.cli(null, 'status');
        assert.equal(nobody.status, 4);
        assert.match(nobody.stderr, /^davenport: refused \(unauthorized\): a token is needed.*--token-file/);
        const status = it.cli(prom, 'status', '--json');
        assert.equal(status.status, 0, status.stderr);
        assert.equal(JSON.parse(status.stdout).regions.length, 2);
        const reader = it.cli(prom, 'freeze');
        assert.equal(reader.status, 4);
        assert.match(reader.stderr, /refused \(forbidden\): this token's role is read/);
        const operator = it.cli(ops, 'freeze', '--reason', 'a test', '--json');
        assert.equal(operator.status, 0, operator.stderr);
        assert.match(JSON.parse(operator.stdout).actor, /^.+@.+ \(token ops, loopback\)$/);
        // By the environment, and by the configuration for the address.
        const env = { ...process.env, DAVENPORT_ADMIN: it.address, DAVENPORT_TOKEN_FILE: prom.file, DAVENPORT_CA_FILE: authority.file };
        assert.equal(Proxy.run(['explain'], { env }).status, 0);
        // Whom it does not trust it does not ask.
        const untrusted = Proxy.run(['status', '--admin', it.address, '--token-file', prom.file, '--ca', new Authority('other').file]);
        assert.equal(untrusted.status, 3);
        assert.match(untrusted.stderr, /certificate/i);
        assert.equal(untrusted.stderr.includes(prom.token), false);
        const plain = Proxy.run(['status', '--admin', '10.0.0.1:8985', '--token-file', prom.file]);
        assert.equal(plain.status, 2);
        assert.match(plain.stderr, /must be https:\/\//);
        const follower = it.cli(null, 'events', '--follow');
        assert.equal(follower.status, 4, follower.stderr);
    }),
);

test(
    'davenport events --follow over TLS sees what happens',
    guarded(async (it) => {
        const args = ['events', '--follow', '--json', '--admin', it.address, '--ca', authority.file, '--token-file', prom.file];
        const child = leashed(BINARY, args, { stdio: ['ignore', 'pipe', 'inherit'] });
        let said = '';
        child.stdout.on('data', (part) => (said += part));
        await until('the first lines', () => said.includes('"started"'));
        assert.equal(it.cli(ops, 'freeze', '--reason', 'seen by who follows').status, 0);
        await until('the order', () => said.includes('seen by who follows'));
        child.kill('SIGTERM');
        await new Promise((resolve) => child.once('exit', resolve));
    }),
);

test(
    'a reload takes a token away, gives another, and brings a new certificate',
    guarded(async (it) => {
        const ask = (token) => it.ask('/status', { headers: { authorization: `Bearer ${token}` } }).then((got) => got.status);
        const ann = makeToken('ann');
        assert.equal(await ask(prom.token), 200);
        const before = it.certificate;
        const config = { ...it.proxy.config };
        const args = ['events', '--follow', '--admin', it.address, '--ca', authority.file, '--token-file', prom.file];
        const follower = leashed(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
        let followed = '';
        let told = '';
        follower.stdout.on('data', (part) => (followed += part));
        follower.stderr.on('data', (part) => (told += part));
        const ended = new Promise((resolve) => follower.once('close', resolve));
        await until('the follower to follow', () => followed.includes('started'));
        const leaf = authority.leaf('renewed', 'DNS:localhost,IP:127.0.0.1');
        copyFileSync(leaf.cert, config.admin.tls.cert_file);
        copyFileSync(leaf.key, config.admin.tls.key_file);
        config.admin.tokens = { ops: tokens.ops, ann: { hash: ann.hash } };
        writeFileSync(it.proxy.configPath, JSON.stringify(config));
        const reload = it.cli(ops, 'reload');
        assert.equal(reload.status, 0, reload.stderr);
        assert.match(reload.stdout, /admin\.tokens\.prom: removed/);
        assert.match(reload.stdout, /admin\.tokens\.ann: added/);
        assert.equal(await ask(prom.token), 401);
        assert.equal(await ask(ann.token), 200);
        assert.equal(await within('the end of who followed with it', ended), 4);
        assert.match(told, /refused \(unauthorized\)/);
        assert.notEqual(it.certificate, before);
        config.admin.tls = undefined;
        writeFileSync(it.proxy.configPath, JSON.stringify(config));
        const refused = it.cli(ops, 'reload');
        assert.equal(refused.status, 4);
        assert.match(refused.stdout, /admin\.tls: needs a restart/);
    }),
);

test('plain HTTP on loopback with tokens: a token, and a Host that is loopback', async () => {
    const proxy = await Proxy.start(regions, { admin: { tokens } });
    const ask = (headers) => request(`${proxy.admin}/whoami`, { headers }).then((got) => got.status);
    assert.equal(await ask({}), 401);
    assert.equal(await ask({ authorization: `Bearer ${ops.token}` }), 200);
    assert.equal(await ask({ authorization: `Bearer ${ops.token}`, host: 'evil.example' }), 403);
    assert.equal(await ask({ authorization: [`Bearer ${ops.token}`, `Bearer ${prom.token}`] }), 401, 'two headers prove nothing');
    await proxy.stop();
});

test('a Unix socket has the permissions that are configured, and asks for no token', async () => {
    const path = join(scratch('socket'), 'admin.sock');
    const proxy = new Proxy(configuration(regions, { admin: { listen: `unix:${path}`, socket_mode: '0660', tokens } }));
    await proxy.run();
    assert.equal(statSync(path).mode & 0o777, 0o660);
    const frozen = Proxy.run(['freeze', '--json', '--admin', `unix:${path}`]);
    assert.equal(frozen.status, 0, frozen.stderr);
    assert.match(JSON.parse(frozen.stdout).actor, new RegExp(`\\(uid ${process.getuid()}\\)$`));
    await proxy.stop();
});

test('beyond this host it does not start without TLS and tokens', () => {
    const path = join(folder, 'open.json');
    writeFileSync(path, JSON.stringify(configuration(regions, { admin: { listen: '0.0.0.0:0' } })));
    for (const command of ['check', 'serve']) {
        const got = Proxy.run([command, '-c', path]);
        assert.equal(got.status, 1);
        assert.match(got.stderr, /open\.json: admin\.listen: is no loopback address: it needs admin\.tls/);
        assert.match(got.stderr, /open\.json: admin\.listen: is no loopback address: it needs admin\.tokens/);
    }
});

test('a TLS port that hears plain HTTP, or nothing from many, goes on for others', guarded(async (it) => {
    const plain = await request(`http://127.0.0.1:${it.port}/status`).catch((error) => error);
    assert.ok(plain instanceof Error);
    assert.equal((await it.ask('/healthz')).status, 200);
    // More than it takes at once, who say nothing: those that waited longest make room.
    const silent = [];
    for (let i = 0; i < 100; i += 1) {
        const socket = net.connect(it.port, '127.0.0.1');
        socket.on('error', () => {});
        silent.push(socket);
        await within('a connection', new Promise((resolve) => ['connect', 'close'].forEach((event) => socket.once(event, resolve))));
    }
    assert.equal(it.cli(prom, 'status').status, 0);
    await until('the first of them to be closed', () => silent[0].readyState === 'closed' || silent[0].destroyed);
    silent.forEach((socket) => socket.destroy());
}));

test('a drill asks with its token, by TLS', async () => {
    const couches = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    const leaf = authority.leaf('drilled', 'DNS:localhost,IP:127.0.0.1');
    const proxy = await Proxy.start(couches, {
        admin: { tls: { cert_file: leaf.cert, key_file: leaf.key }, tokens },
        failback: { hold_down_ms: 500 },
        drills: { allowed: true },
    });
    const admin = `https://localhost:${new URL(proxy.admin).port}`;
    const plan = (token) => ({
        name: 'Guarded',
        proxy: {
            url: proxy.origin,
            admin,
            token_file: token.file,
            ca_file: authority.file,
        },
        regions: couches.map((region) => ({ name: region.name, url: region.direct })),
        load: { rate: 40, seconds: 3, connections: 8, documents: 20, timeout_ms: 20_000, mix: { get: 60, put: 40 } },
        steps: [{ at_s: 1, do: 'drain', region: 'left', for_s: 1 }],
        objectives: { lost: 0 },
    });
    try {
        // A drain is refused while it is not known that another region serves.
        await until('both regions to be up', () => {
            const { stdout } = Proxy.run(['status', '--json', '--admin', admin, '--ca', authority.file, '--token-file', ops.file]);
            return JSON.parse(stdout).regions.every((region) => region.health === 'up');
        });
        await new Drill(plan(ops)).run(0);
        for (const event of ['drain', 'resume']) {
            const line = await until(`${event} in the journal`, () => proxy.journalLines().find((one) => one.event === event));
            assert.match(line.actor, /\(token ops, loopback\)$/, `${event}: ${JSON.stringify(line)}`);
        }
        const refused = await new Drill(plan(prom)).run(7);
        assert.match(refused.said, /may only read; the plan's steps need one of role operator/);
        assert.equal(proxy.journalLines().some((line) => line.event === 'access_refused'), false, 'nothing was tried');
        assert.equal(refused.said.includes(prom.token), false);
    } finally {
        await proxy.stop();
        await Promise.all(couches.map((region) => region.close()));
    }
});
