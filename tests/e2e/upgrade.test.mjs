// SIGUSR2: another process takes the place of the one that serves. Nobody's request fails by it, whatever the new program is.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { leashed } from '../support/child.mjs';
import { answer, chunk, chunkedHead } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { BINARY, configuration, Proxy, SANITIZER_REPORT } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { atExit, pause, scratch, until, within } from '../support/wait.mjs';

const REGIONS = 2;
let regions;

before(async () => {
    regions = await Promise.all(Array.from({ length: REGIONS }, (_, i) => ScriptedRegion.start(`r${i}`)));
    for (const region of regions) {
        region.on(/ \/db\//, [answer(200, { ok: true })]);
        region.on(/PUT \/db\//, [answer(201, { ok: true })]);
        region.on(/feed=continuous/, [chunkedHead(), chunk('{"seq":"1","id":"a"}\n'), { until: new Promise(() => {}) }]);
        region.on(/GET \/db\/slow/, [{ pause: 20 }, answer(200, { ok: true })]);
    }
});
after(() => Promise.all(regions.map((region) => region.close())));

// With one worker descriptor 3 is the traffic's, 4 the operators', 5 the pair: first what is inherited is passed over by its head,
// for any byte of its keys may be a "y".
const TAKE_STATE = [
    'n=$(dd bs=1 count=8 <&5 2>/dev/null | od -An -tu4 | { read -r version bytes; echo "$bytes"; })',
    'dd bs=1 count="$n" <&5 >/dev/null 2>&1',
    'printf t >&5',
    '[ "$(dd bs=1 count=1 <&5 2>/dev/null)" = y ] || exit 9',
    '',
].join('\n');

const running = (pid) => existsSync(`/proc/${pid}/status`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

// The service by whatever process it is: its first one is a child of ours, those that took over are not.
class Service {
    static async start(over = {}, binary = BINARY) {
        const service = new Service();
        service.proxy = new Proxy(configuration(regions, over));
        service.proxy.binary = binary;
        await service.proxy.run();
        service.pids = [service.proxy.pid];
        return service;
    }

    get said() {
        return this.proxy.child.text();
    }

    lines(event) {
        return this.said.split('\n').filter((line) => line.includes(`"event":"${event}"`)).map((line) => JSON.parse(line));
    }

    // The service's process now.
    async pid() {
        return (await this.proxy.status()).pid;
    }

    // A drain is refused while it is not known that another region serves.
    async serves() {
        await until('all regions to serve', async () => (await this.proxy.status()).regions.every((one) => one.health === 'up'));
    }

    async replaced() {
        const was = this.pids.at(-1);
        const refused = () => this.lines('upgrade_refused').length > (this.refusals ?? 0);
        await until(`process ${was} to be replaced`, () => refused() || this.lines('replaced').some((line) => line.pid === was));
        assert.ok(!refused(), this.said);
        const pid = await this.pid();
        assert.notEqual(pid, was);
        this.pids.push(pid);
        atExit(() => running(pid) && process.kill(pid, 'SIGKILL'));
        return pid;
    }

    async upgrade() {
        process.kill(this.pids.at(-1), 'SIGUSR2');
        return this.replaced();
    }

    async refused(signal = 'SIGUSR2') {
        const before_ = this.lines('upgrade_refused').length;
        process.kill(this.pids.at(-1), signal);
        await until('the upgrade to be refused', () => this.lines('upgrade_refused').length > before_);
        assert.equal(await this.pid(), this.pids.at(-1));
        this.refusals = this.lines('upgrade_refused').length;
        return this.lines('upgrade_refused').at(-1).reason;
    }

    async stop() {
        process.kill(this.pids.at(-1), 'SIGTERM');
        for (const pid of this.pids) {
            await until(`process ${pid} to end`, () => this.lines('stopped').some((line) => line.pid === pid));
        }
        assert.doesNotMatch(this.said, SANITIZER_REPORT);
    }
}

async function withService(t, over, body, binary) {
    const service = await Service.start(over, binary);
    try {
        await body(service);
        await service.stop();
    } catch (error) {
        t.diagnostic(`the service's last words:\n${service.said.slice(-6_000)}`);
        throw error;
    } finally {
        service.pids.filter(running).forEach((pid) => process.kill(pid, 'SIGKILL'));
    }
}

// The test has failed by then; what is left of it does not take the machine.
const AFTER_FAILURE_MS = 100;

// Clients of every kind, each asking as soon as it was answered, without a second attempt at anything, to the end of the test `t` at most.
class Load {
    constructor(proxy, t) {
        t.after(() => this.end());
        this.proxy = proxy;
        this.over = false;
        this.answered = 0;
        this.failed = [];
        this.feeds = 0; // begun
        this.ended = 0; // of them, whole
        this.clients = [];
        this.open = new Set();
        for (let i = 0; i < 6; i += 1) {
            this.clients.push(this.client(i, new http.Agent({ keepAlive: true, maxSockets: 1 })));
            this.clients.push(this.client(i, false));
        }
        for (let i = 0; i < 8; i += 1) {
            this.clients.push(this.follow());
        }
    }

    async client(i, agent) {
        for (let n = 0; !this.over; n += 1) {
            const [method, path] = [['GET', 'a'], ['PUT', `doc-${i}-${n}`], ['GET', 'slow']][n % 3];
            try {
                const got = await request(`${this.proxy.origin}/db/${path}`, { method, agent, ...(method === 'PUT' ? { json: { n } } : {}) });
                this.answered += 1;
                if (got.status !== (method === 'PUT' ? 201 : 200)) {
                    this.failed.push(`${method} ${path}: ${got.status} ${got.text}`);
                }
            } catch (error) {
                this.failed.push(`${method} ${path} (${agent ? 'kept alive' : 'fresh'}): ${error.stack}`);
                await pause(AFTER_FAILURE_MS);
            }
        }
        agent && agent.destroy();
    }

    // A feed, opened again whenever it ends. One that does not end with its last chunk failed.
    async follow() {
        while (!this.over) {
            await new Promise((resolve) => {
                const asked = http.get(`${this.proxy.origin}/db/_changes?feed=continuous`, { agent: false }, (response) => {
                    this.feeds += 1;
                    response.resume();
                    response.on('end', () => {
                        this.ended += 1;
                        resolve();
                    });
                    response.on('error', (error) => {
                        if (!this.over) {
                            this.failed.push(`a feed was cut: ${error}`);
                        }
                        resolve();
                    });
                });
                this.open.add(asked);
                asked.on('close', () => this.open.delete(asked));
                asked.on('error', (error) => {
                    if (!this.over) {
                        this.failed.push(`a feed could not be opened: ${error}`);
                    }
                    setTimeout(resolve, AFTER_FAILURE_MS);
                });
            });
        }
    }

    async more(n) {
        const goal = this.answered + n;
        await until(`${n} answers more`, () => this.answered >= goal);
    }

    end() {
        this.over = true;
        this.open.forEach((asked) => asked.destroy());
    }

    async stop() {
        this.end();
        await within('the clients to end', Promise.all(this.clients));
        assert.deepEqual(this.failed, []);
    }
}

for (const [name, over] of [
    ['one worker', { workers: 1 }],
    ['three workers, a socket each', { workers: 3 }],
]) {
    test(`upgrades under load: nothing fails, feeds end whole (${name})`, (t) =>
        withService(t, { ...over, timeouts: { drain_ms: 600_000 }, feeds: { spread_ms: 500 } }, async (service) => {
            const load = new Load(service.proxy, t);
            await until('all feeds to be open', () => load.feeds >= 8);
            await load.more(200);
            for (let i = 1; i <= 3; i += 1) {
                const ended = load.ended;
                await service.upgrade();
                await load.more(200);
                await until('the feeds to come over', () => load.ended >= ended + 8);
            }
            await until('those before to end', () => service.lines('stopped').length === 3);
            await load.more(50);
            await load.stop();
            const journal = await until('the journal to have each upgrade', () => {
                const lines = service.proxy.journalLines();
                return lines.filter((line) => line.event === 'upgraded').length === 3 && lines;
            });
            const epochs = journal.map((line) => line.epoch);
            assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b), 'no epoch is told by two of them');
            assert.equal(journal.filter((line) => line.event === 'stopped').length, 0, 'only one writes at a time');
        }));
}

test('sessions of applications and of TLS go on in the new process', (t) => {
    const authority = new Authority();
    const leaf = authority.leaf('server', 'DNS:localhost,IP:127.0.0.1');
    const ca = readFileSync(authority.file);
    const hash = Proxy.run(['hash-password'], { input: 'pencil-case\n' }).stdout.trim();
    const over = {
        listen: { tls: { cert_file: leaf.cert, key_file: leaf.key } },
        timeouts: { drain_ms: 500 },
        clients: { users: { ann: { password: hash } } },
        regions: regions.map(({ name, origin }) => ({ name, url: origin, credentials: { type: 'basic', username: 'us', password: 'region-pw' } })),
    };
    return withService(t, over, async (service) => {
        const ask = (method, path, { headers = {}, body = '', session } = {}) =>
            new Promise((resolve, reject) => {
                const got = {};
                const options = { host: 'localhost', port: service.proxy.port, method, path, ca, session, agent: false, maxVersion: 'TLSv1.2' };
                const asked = https.request({ ...options, headers: { ...headers, 'content-length': body.length } }, (response) => {
                    Object.assign(got, { status: response.statusCode, cookie: response.headers['set-cookie']?.[0].split(';')[0] });
                    response.on('data', (part) => (got.text = (got.text ?? '') + part));
                    response.on('end', () => resolve(got));
                });
                asked.on('error', reject);
                asked.on('socket', (socket) => socket.on('secureConnect', () => Object.assign(got, { resumed: socket.isSessionReused(), session: socket.getSession() })));
                asked.end(body);
            });
        const login = await ask('POST', '/_session', { headers: { 'content-type': 'application/json' }, body: '{"name":"ann","password":"pencil-case"}' });
        assert.equal(login.status, 200, login.text);
        assert.equal((await ask('GET', '/_session', { session: login.session })).resumed, true);
        await service.upgrade();
        const after_ = await ask('GET', '/_session', { headers: { cookie: login.cookie }, session: login.session });
        assert.equal(JSON.parse(after_.text).userCtx.name, 'ann');
        assert.equal(after_.resumed, true);
    });
});

// The command, beside this process, which answers some of its requests.
function cli(admin) {
    const child = leashed(BINARY, ['upgrade', '--admin', admin.slice('http://'.length)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (part) => (said += part));
    child.stderr.on('data', (part) => (said += part));
    return within('the upgrade', new Promise((resolve) => child.once('close', (code) => resolve({ code, said }))), 300_000);
}

// The same, where `answer` tells what an admin server does: the JSON of a path.
async function cliAt(answer_) {
    const server = http.createServer((req, res) => {
        res.setHeader('content-type', 'application/json');
        Promise.resolve(answer_(req.url)).then((json) => res.end(JSON.stringify(json)), () => res.destroy());
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
        return await cli(`http://127.0.0.1:${server.address().port}`);
    } finally {
        server.close();
    }
}

test('davenport upgrade waits for it, and tells why it was refused', (t) => {
    const binary = join(scratch('upgrade'), 'davenport');
    copyFileSync(BINARY, binary);
    return withService(
        t,
        { timeouts: { drain_ms: 500 } },
        async (service) => {
            const { proxy } = service;
            const done = await cli(proxy.admin);
            await service.replaced();
            assert.equal(done.code, 0, done.said);
            assert.match(done.said, new RegExp(`^upgraded: process ${service.pids[1]} \\(.*\\) took over from ${service.pids[0]} `));
            writeFileSync(proxy.configPath, '{}');
            const refused = await cli(proxy.admin);
            assert.equal(refused.code, 4, refused.said);
            assert.match(refused.said, /process \d+ stays the service: the new program's check says \(exit code 1\): .*regions/);
        },
        binary,
    );
});

test('davenport upgrade signals only the process that answers, not one that has its number here', (t) =>
    withService(t, {}, async (service) => {
        const status = await service.proxy.status();
        assert.match(status.instance, /^[0-9a-f-]{36}:\d+$/);
        const [boot, ticks] = status.instance.split(':');
        // As from another machine, where another process has this number; the last of a version that does not tell, and no davenport.
        for (const [pid, instance] of [
            [status.pid, `${boot}:${ticks}1`],
            [status.pid, `${boot.replace(/./g, '0')}:${ticks}`],
            [status.pid, `:${ticks}1`],
            [status.pid, 'anything'],
            [process.pid, undefined],
        ]) {
            const { code, said } = await cliAt((path) => (path === '/status' ? { ...status, pid, instance } : []));
            assert.equal(code, 1, said);
            assert.match(said, /which answers there, is none of this machine/);
        }
        assert.equal((await service.proxy.events()).some((line) => line.event.startsWith('upgrade')), false);
    }));

test('davenport upgrade, of a version that does not tell which process it is, goes by the program', (t) =>
    withService(t, { timeouts: { drain_ms: 500 } }, async (service) => {
        const { proxy } = service;
        const { code, said } = await cliAt(async (path) => (path === '/status' ? { ...(await proxy.status()), instance: undefined } : proxy.events()));
        assert.equal(code, 0, said);
        await service.replaced();
    }));

// As a unit with ProcSubset=pid has it (conf/systemd/davenport.service): /proc tells of processes, not of the machine.
const FEW_PROC = 'mount -t proc -o subset=pid proc /proc && [ ! -e /proc/sys ]';
const hidesProc = spawnSync('unshare', ['-m', 'sh', '-c', FEW_PROC]).status === 0;
test('davenport upgrade, from outside of a unit whose /proc does not tell the boot', { skip: !hidesProc && 'this user may not mount a /proc' }, (t) => {
    const binary = join(scratch('upgrade'), 'davenport');
    writeFileSync(binary, `#!/bin/sh\nexec unshare -m sh -c '${FEW_PROC} && exec "$0" "$@"' ${BINARY} "$@"\n`, { mode: 0o755 });
    return withService(
        t,
        { timeouts: { drain_ms: 500 } },
        async (service) => {
            assert.match((await service.proxy.status()).instance, /^:\d+$/);
            const { code, said } = await cli(service.proxy.admin);
            assert.equal(code, 0, said);
            await service.replaced();
        },
        binary,
    );
});

test('Unix sockets are handed on with their files; orders stand', (t) => {
    const folder = scratch('upgrade');
    const path = join(folder, 'http.sock');
    const admin = join(folder, 'admin.sock');
    return withService(t, { workers: 2, listen: { address: `unix:${path}` }, timeouts: { drain_ms: 500 } }, async (service) => {
        const get = () =>
            new Promise((resolve, reject) => {
                http.get({ socketPath: path, path: '/db/a', agent: false }, (response) => {
                    response.resume();
                    response.on('end', () => resolve(response.statusCode));
                }).on('error', reject);
            });
        assert.equal(await get(), 200);
        await service.serves();
        assert.equal((await service.proxy.order('drain', { region: 'r1', reason: 'kernel' })).status, 200);
        await service.upgrade();
        await until('the one before to end', () => service.lines('stopped').length === 1);
        assert.ok(existsSync(path), 'the file is the new process\'s');
        assert.equal(await get(), 200);
        const { drained } = await service.proxy.region('r1');
        assert.equal(drained?.reason, 'kernel');
        assert.equal(existsSync(admin), false);
    });
});

test('what cannot take over does not: a program that is none, a bad configuration, one that ends or dies with the state', (t) => {
    const binary = join(scratch('upgrade'), 'davenport');
    const put = (text) => {
        writeFileSync(`${binary}.new`, text);
        chmodSync(`${binary}.new`, 0o755);
        renameSync(`${binary}.new`, binary); // as a package manager does: the running one keeps its file
    };
    copyFileSync(BINARY, binary);
    return withService(
        t,
        { workers: 1, timeouts: { drain_ms: 500 } },
        async (service) => {
            const { proxy } = service;
            const alive = async () => assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
            const config = readFileSync(proxy.configPath);

            put('this is no program\n');
            assert.match(await service.refused(), /exit code 127|exec format|Exec format|ENOEXEC|format error|check says/i);
            await alive();
            put('#!/bin/sh\nexit 0\n[ "$1" = check ]\n');
            assert.match(await service.refused(), /ended before it was ready \(exit code 0\)/);
            put('#!/bin/sh\n[ "$1" = check ] && exit 0\nexit 7\n');
            assert.match(await service.refused(), /ended before it was ready \(exit code 7\)/);
            await alive();

            // It asks for the state, gets it, and dies.
            put(`#!/bin/sh\n[ "$1" = check ] && exit 0\n${TAKE_STATE}kill -9 $$\n`);
            assert.match(await service.refused(), /ended before it was ready \(signal 9\)/);
            await alive();
            await service.serves();
            assert.equal((await proxy.order('drain', { region: 'r1', reason: 'after it' })).status, 200);
            await until('the journal to go on', () => proxy.journalLines().some((line) => JSON.stringify(line).includes('after it')));
            put('#!/bin/sh\n[ "$1" = check ] && exit 0\nprintf z >&5\nsleep 100\n');
            assert.match(await service.refused(), /nobody understands/);

            copyFileSync(BINARY, `${binary}.new`);
            renameSync(`${binary}.new`, binary);
            writeFileSync(proxy.configPath, '{"regions": 3}');
            const reason = await service.refused();
            assert.match(reason, /check says \(exit code 1\): .*regions/);
            await alive();
            writeFileSync(proxy.configPath, config);
            await service.upgrade();
            await alive();
            assert.equal((await proxy.region('r1')).drained?.reason, 'after it');
            const journal = await until('the journal to have each refusal, and the upgrade', () => {
                const lines = proxy.journalLines();
                return lines.some((line) => line.event === 'upgraded') && lines;
            });
            assert.equal(journal.filter((line) => line.event === 'upgrade_refused').length, 6);
            const epochs = journal.map((line) => line.epoch);
            assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b));
        },
        binary,
    );
});

test('a new process that fails at the last moment has taken nobody\'s connection, and the file of ports is whose the service is', (t) => {
    const binary = join(scratch('upgrade'), 'davenport');
    const put = (script) => {
        writeFileSync(`${binary}.new`, script, { mode: 0o755 });
        renameSync(`${binary}.new`, binary);
    };
    const [fifo, go] = ['fifo', 'go'].map((file) => join(scratch('upgrade'), file));
    copyFileSync(BINARY, binary);
    execFileSync('mkfifo', [fifo]);
    return withService(
        t,
        { workers: 2, timeouts: { drain_ms: 600_000 }, feeds: { spread_ms: 500 } },
        async (service) => {
            const { portFile } = service.proxy;
            const named = () => JSON.parse(readFileSync(portFile, 'utf8')).pid;
            const load = new Load(service.proxy, t);
            await load.more(100);
            // To tell that it is ready is the last that may fail. First it fails at once; then nobody reads, so that there is time.
            put(`#!/bin/sh\n[ "$1" = check ] && exit 0\nexec ${BINARY} "$@" --ready-fd 999\n`);
            assert.match(await service.refused(), /ended before it was ready \(exit code 1\)/);
            assert.match(service.said, /"what":"--ready-fd"/);
            assert.equal(named(), service.pids[0]);
            const full = `exec 1<>${fifo}\ndd if=/dev/zero bs=65536 count=1 2>/dev/null\n`; // what else is open it closes
            const die = `(while [ ! -e ${go} ]; do sleep 0.1; done; kill -9 $$) &\n`;
            put(`#!/bin/sh\n[ "$1" = check ] && exit 0\n${full}${die}exec ${BINARY} "$@" --ready-fd 1\n`);
            const refused = service.refused();
            await until('the new process to be nearly ready', () => named() !== service.pids[0], { limit_ms: 120_000 });
            const open = load.feeds;
            for (let i = 0; i < 24; i += 1) {
                load.clients.push(load.follow());
            }
            await until('new feeds to be open', () => load.feeds >= open + 24);
            await load.more(100);
            writeFileSync(go, '');
            assert.match(await refused, /ended before it was ready \(signal 9\)/);
            assert.equal(named(), service.pids[0]);
            put(readFileSync(BINARY));
            await service.upgrade();
            await load.more(100);
            await load.stop();
            await until('the one before to end', () => service.lines('stopped').some((line) => line.pid === service.pids[0]));
            assert.equal(named(), service.pids[1]);
        },
        binary,
    );
});

test('who has the variable of an upgrade by mistake begins by itself', async () => {
    for (const env of [{ DAVENPORT_HANDED: 'traffic' }, { DAVENPORT_HANDED: 'traffic:before', DAVENPORT_HANDED_BY: String(process.pid) }, { DAVENPORT_HANDED: '' }]) {
        const proxy = await Proxy.start(regions, {}, env);
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
        assert.match(proxy.child.text(), /"event":"handed_ignored","variable":"DAVENPORT_HANDED"/);
        await proxy.stop();
    }
});

// It may be the file of who serves, and goes only where this process has a place of its own.
test('one that has it by mistake and cannot listen leaves the file of ports alone', async () => {
    const proxy = await Proxy.start(regions);
    const text = readFileSync(proxy.portFile, 'utf8');
    writeFileSync(`${proxy.configPath}.same`, JSON.stringify({ ...proxy.config, journal: undefined, listen: { ...proxy.config.listen, port: proxy.port } }));
    const args = ['serve', '-c', `${proxy.configPath}.same`, '--port-file', proxy.portFile];
    const second = Proxy.run(args, { env: { ...process.env, DAVENPORT_HANDED: 'traffic:before' } });
    assert.equal(second.status, 1, second.stderr);
    assert.match(second.stderr, /EADDRINUSE|already in use/i);
    assert.equal(readFileSync(proxy.portFile, 'utf8'), text);
    await proxy.stop();
});

test('the list of sockets is the same for a version that knows no DAVENPORT_HANDED_BY, and one from it is understood', (t) => {
    const binary = join(scratch('upgrade'), 'davenport');
    copyFileSync(BINARY, binary);
    return withService(
        t,
        { workers: 1, timeouts: { drain_ms: 500 } },
        async (service) => {
            const script = `#!/bin/sh\n[ "$1" = check ] && exit 0\n[ "$DAVENPORT_HANDED" = traffic:admin:before ] || exit 7\nunset DAVENPORT_HANDED_BY\nexec ${BINARY} "$@"\n`;
            writeFileSync(`${binary}.new`, script, { mode: 0o755 });
            renameSync(`${binary}.new`, binary);
            await service.upgrade();
        },
        binary,
    );
});

test('a state that the disk does not take is not left behind: the upgrade is refused, and done when the disk is well', (t) =>
    withService(t, { timeouts: { drain_ms: 500 } }, async (service) => {
        const { proxy } = service;
        await service.serves();
        mkdirSync(`${proxy.journal}.state.new`); // in the way of the next state file
        assert.equal((await proxy.order('drain', { region: 'r1', reason: 'kernel' })).status, 200);
        assert.match(await service.refused(), /could not be written in time/);
        rmdirSync(`${proxy.journal}.state.new`);
        await service.upgrade();
        assert.equal((await proxy.region('r1')).drained?.reason, 'kernel');
    }));

// What the new process does is in its hands: the state is its own until `go` is there, and then it dies.
test('while the state is handed over nothing is changed: orders, faults and reloads are refused, a SIGHUP is made up for', (t) => {
    const folder = scratch('upgrade');
    const [binary, there, go] = ['davenport', 'there', 'go'].map((file) => join(folder, file));
    copyFileSync(BINARY, binary);
    return withService(
        t,
        { workers: 1, timeouts: { drain_ms: 500 }, drills: { allowed: true } },
        async (service) => {
            const { proxy } = service;
            await service.serves();
            writeFileSync(`${binary}.new`, `#!/bin/sh\n[ "$1" = check ] && exit 0\n${TAKE_STATE}echo > ${there}\nwhile [ ! -e ${go} ]; do sleep 0.1; done\nexit 7\n`, { mode: 0o755 });
            renameSync(`${binary}.new`, binary);
            process.kill(proxy.pid, 'SIGUSR2');
            await until('the new process to have the state', () => existsSync(there), { limit_ms: 120_000 });
            const headers = { 'davenport-admin': '1' };
            for (const ask of [
                () => proxy.order('drain', { region: 'r1' }),
                () => proxy.order('faults', { region: 'r1', kind: 'dark', for_ms: 60_000 }),
                () => request(`${proxy.admin}/faults`, { method: 'DELETE', headers }),
                () => proxy.order('reload'),
            ]) {
                const got = await ask();
                assert.equal(got.status, 503, got.text);
                assert.equal(JSON.parse(got.text).error, 'being_replaced');
            }
            writeFileSync(proxy.configPath, JSON.stringify({ ...proxy.config, safety: { dwell_ms: 7_000 } }));
            process.kill(proxy.pid, 'SIGHUP');
            assert.equal((await proxy.status()).reloads_done, 0);
            writeFileSync(go, '');
            await until('the upgrade to be refused', () => service.lines('upgrade_refused').length === 1, { limit_ms: 120_000 });
            service.refusals = 1;
            await until('the reload to be made up for', async () => (await proxy.status()).reloads_done === 1);
            assert.match((await proxy.events()).find((line) => line.event === 'reloaded').detail, /safety\.dwell_ms/);
            assert.equal((await proxy.order('drain', { region: 'r1', reason: 'after it' })).status, 200);
        },
        binary,
    );
});

for (const [name, takes, event] of [
    ['before it let go of the state: the new process is ended', false, 'upgrade_refused'],
    ['after that: the new process is told to end too', true, 'replaced'],
]) {
    test(`who tells the process to end while it is being replaced ends the service; ${name}`, async (t) => {
        const folder = scratch('upgrade');
        const [binary, there, go] = ['davenport', 'there', 'go'].map((file) => join(folder, file));
        const ready = `while [ ! -e ${go} ]; do sleep 0.1; done\nprintf r >&5\n`;
        copyFileSync(BINARY, binary);
        const service = await Service.start({ workers: 1, timeouts: { drain_ms: 120_000 } }, binary);
        let pid;
        try {
            const script = `#!/bin/sh\n[ "$1" = check ] && exit 0\n${takes ? TAKE_STATE : ''}echo $$ > ${there}.new\nmv ${there}.new ${there}\n${takes ? ready : ''}exec sleep 600\n`;
            writeFileSync(`${binary}.new`, script, { mode: 0o755 });
            renameSync(`${binary}.new`, binary);
            process.kill(service.proxy.pid, 'SIGUSR2');
            await until('the new process to be there', () => existsSync(there));
            pid = Number(readFileSync(there, 'utf8'));
            process.kill(service.proxy.pid, 'SIGTERM');
            await until('the old one to drain', () => service.lines('draining').length === 1);
            writeFileSync(go, '');
            assert.deepEqual(await service.proxy.child.wait(120_000), { code: 0, signal: null });
            assert.equal(service.lines(event).length, 1);
            await until('the new process to end', () => !running(pid));
            assert.doesNotMatch(service.said, SANITIZER_REPORT);
        } catch (error) {
            t.diagnostic(`the service's last words:\n${service.said.slice(-6_000)}`);
            throw error;
        } finally {
            [service.proxy.pid, pid].filter((one) => one && running(one)).forEach((one) => process.kill(one, 'SIGKILL'));
        }
    });
}
