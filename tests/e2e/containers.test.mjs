// What docker/ has, without an engine: linters and schemas, every configuration in it by `davenport check`, the replication set-up
// against real servers, and what the image installs against what the program is linked to.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { composeProblems, manifestProblems, readYaml } from './manifests.mjs';
import { couch } from '../support/http.mjs';
import { Proxy } from '../support/proxy.mjs';
import { PouchRegion } from '../support/region.mjs';
import { LIMIT_MS, scratch, until } from '../support/wait.mjs';

const DOCKER = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docker');
const KUBERNETES = ['sidecar', 'gateway'];
const dockerfile = readFileSync(join(DOCKER, 'Dockerfile'), 'utf8');

function linted(path) {
    const linter = createRequire(import.meta.url).resolve('dockerfilelint/bin/dockerfilelint');
    const { stdout } = spawnSync(process.execPath, [linter, '-o', 'json', path], { encoding: 'utf8' });
    return JSON.parse(stdout).files[0].issues.map((issue) => `${issue.line}: ${issue.title}`);
}

test('the Dockerfile, by a linter', () => {
    assert.deepEqual(linted(join(DOCKER, 'Dockerfile')), []);
    const spoiled = join(scratch('dockerfile'), 'Dockerfile');
    writeFileSync(spoiled, dockerfile.replace('HEALTHCHECK --interval', 'HEALTHCHECK --intervall'));
    assert.equal(linted(spoiled).length, 1);
});

test('the image has what the program is linked to, and runs it without root', (t) => {
    const [, last] = dockerfile.split(/^FROM .*\n/m).slice(-2);
    const installed = /apt-get install[^&]*/.exec(last)[0].replaceAll('\\\n', ' ').split(/\s+/);
    assert.match(last, /^USER 10001:10001$/m);
    assert.match(last, /^HEALTHCHECK .*\\\n {4}CMD davenport status \|\| exit 1$/m);
    const run = (...command) => spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
    if (run('dpkg-query', '-W', 'libc6').status !== 0) {
        t.diagnostic('not a Debian system: the packages were not compared');
        return;
    }
    const linked = run('ldd', process.env.DAVENPORT_BIN).stdout.matchAll(/^\s(lib\S+) => (\S+)/gm);
    const needed = run('readelf', '-d', process.env.DAVENPORT_BIN).stdout;
    // The compiler's own runtimes are in a sanitized program only; the C library is in every image.
    const direct = [...linked].filter(([, name]) => needed.includes(`[${name}]`) && !/^lib(c|m|asan|ubsan|tsan)\.so/.test(name));
    assert.ok(direct.length >= 5, needed);
    const paths = direct.flatMap(([, , path]) => [path, path.replace(/^\/lib/, '/usr/lib')]);
    const owners = run('dpkg', '-S', ...paths).stdout.trim().split('\n').map((line) => line.split(':')[0]);
    assert.ok(owners.length >= direct.length, owners.join(' '));
    assert.deepEqual(owners.filter((owner) => !installed.includes(owner)), [], 'docker/Dockerfile does not install them');
});

// The configuration as it stands, its secrets read from files of ours in place of the container's.
function check(config, secrets, env) {
    const folder = scratch('configuration');
    mkdirSync(join(folder, 'secrets'));
    secrets.forEach((name) => writeFileSync(join(folder, 'secrets', name), `secret-of-${name}`));
    const text = readFileSync(config, 'utf8').replaceAll('/run/secrets/davenport/', join(folder, 'secrets', '/'));
    writeFileSync(join(folder, 'davenport.json'), text);
    return Proxy.run(['check', '-c', join(folder, 'davenport.json'), '--print'], { env: { ...process.env, ...env } });
}

function assertGood(checked, listen) {
    assert.deepEqual([checked.status, checked.stderr], [0, '']);
    const config = JSON.parse(checked.stdout);
    assert.deepEqual([config.listen.address, config.listen.port], [listen, 5984]);
    const socket = /^ENV DAVENPORT_ADMIN=(\S+)$/m.exec(dockerfile)[1];
    assert.equal(config.admin.listen, socket, 'health checks and commands ask there');
    assert.ok(config.journal.path.startsWith('/var/lib/davenport/'));
    assert.ok(config.state.dir.startsWith('/var/lib/davenport/'));
    return config;
}

test('compose.yaml: its schema, and the configuration that it runs', () => {
    const compose = readYaml(join(DOCKER, 'compose.yaml'));
    assert.deepEqual(composeProblems(compose), []);
    assert.equal(composeProblems({ ...compose, services: { x: { ...compose.services.davenport, read_onli: true } } }).length, 1);
    const { davenport, replication } = compose.services;
    const [mounted, path, mode] = davenport.volumes[0].split(':');
    assert.deepEqual([path, mode, davenport.read_only], ['/etc/davenport/davenport.json', 'ro', true]);
    assert.equal(replication.entrypoint.at(-1), replication.volumes[0].split(':')[1]);
    const config = assertGood(check(join(DOCKER, mounted), [], { COUCHDB_USER: 'admin', COUCHDB_PASSWORD: 'x' }), '0.0.0.0');
    assert.deepEqual(Object.keys(davenport.environment), ['COUCHDB_USER', 'COUCHDB_PASSWORD']);
    const urls = [replication.environment.LEFT_URL, replication.environment.RIGHT_URL];
    assert.deepEqual(config.regions.map((region) => region.url), urls, 'the watch knows replications by the urls of the regions');
    urls.forEach((url) => assert.ok(compose.services[new URL(url).hostname], url));
    assert.ok(Number.parseInt(davenport.stop_grace_period, 10) * 1000 > config.timeouts.drain_ms);
});

for (const name of KUBERNETES) {
    const folder = join(DOCKER, 'kubernetes', name);
    const kustomization = readYaml(join(folder, 'kustomization.yaml'));

    test(`kubernetes/${name}: the schemas of its manifests`, () => {
        for (const file of kustomization.resources) {
            assert.deepEqual(manifestProblems(readYaml(join(folder, file))), [], file);
        }
        const spoiled = readYaml(join(folder, 'deployment.yaml'));
        const [container] = spoiled.spec.template.spec.initContainers ?? spoiled.spec.template.spec.containers;
        container.readinesProbe = {};
        spoiled.spec.replicas = 'two';
        assert.equal(manifestProblems(spoiled).length, 2, 'a misspelt name and a wrong type are found');
    });

    test(`kubernetes/${name}: what its manifests say of each other, and the configuration that they run`, () => {
        const pod = readYaml(join(folder, 'deployment.yaml')).spec.template.spec;
        const proxy = [...(pod.initContainers ?? []), ...pod.containers].find((one) => one.name === 'davenport');
        const [generated] = kustomization.configMapGenerator;
        const volume = (mount) => pod.volumes.find((one) => one.name === proxy.volumeMounts.find((own) => own.mountPath === mount)?.name);
        assert.deepEqual(volume('/etc/davenport').configMap, { name: generated.name });
        assert.equal(proxy.args.at(-1), `/etc/davenport/${generated.files[0]}`);
        assert.ok(volume('/run/davenport').emptyDir && volume('/var/lib/davenport').emptyDir, 'what it writes to, on a read-only root');
        assert.equal(proxy.image, kustomization.images[0].name);
        assert.deepEqual([proxy.securityContext.runAsUser, proxy.securityContext.readOnlyRootFilesystem], [10001, true]);
        assert.equal(proxy.restartPolicy, name === 'sidecar' ? 'Always' : undefined);

        // The secret's keys are those that the comment at the top of kustomization.yaml makes it with.
        assert.equal(volume('/run/secrets/davenport').secret.secretName, 'davenport-credentials');
        const text = readFileSync(join(folder, 'kustomization.yaml'), 'utf8');
        const secrets = [...text.matchAll(/--from-file=([\w-]+)=/g)].map(([, key]) => key);
        const config = assertGood(check(join(folder, generated.files[0]), secrets), name === 'sidecar' ? '127.0.0.1' : '0.0.0.0');
        const wait = Number(proxy.lifecycle?.preStop.exec.command[1] ?? 0);
        assert.ok((pod.terminationGracePeriodSeconds - wait) * 1000 > config.timeouts.drain_ms);

        const memory = { Mi: 2 ** 20, Gi: 2 ** 30 }[proxy.resources.limits.memory.slice(-2)] * Number.parseInt(proxy.resources.limits.memory, 10);
        assert.ok(config.workers * (config.limits.buffer_bytes + config.hold.bytes) <= memory / 2, 'what it may keep fits into its memory');

        // Every command of a probe is one that the program has.
        for (const probe of [proxy.startupProbe, proxy.livenessProbe, proxy.readinessProbe]) {
            const [program, ...args] = probe.exec.command;
            assert.equal(program, 'davenport');
            assert.equal(Proxy.run([...args, '--admin', 'unix:/nonexistent']).status, 3, args.join(' '));
        }
    });
}

// In front of a pouchdb-server, which knows no users here: notes who comes with the administrator's password, and takes it off.
async function guarded(region, seen) {
    const front = createServer((incoming, answer) => {
        const { authorization, ...headers } = incoming.headers;
        seen.push({ curl: /^curl/.test(headers['user-agent']), admin: authorization === `Basic ${btoa('admin:x y')}`, target: incoming.url });
        const onward = forward(`${region.origin}${incoming.url}`, { method: incoming.method, headers }, (got) => {
            answer.writeHead(got.statusCode, got.headers);
            got.pipe(answer);
        });
        onward.on('error', () => answer.destroy());
        answer.on('close', () => onward.destroy());
        incoming.pipe(onward);
    });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    return { url: `http://127.0.0.1:${front.address().port}`, close: () => front.closeAllConnections() ?? front.close() };
}

test('replicate: two servers, replicated both ways; a second run changes nothing', async () => {
    const seen = [];
    const servers = await Promise.all(['left', 'right'].map((name) => PouchRegion.start(name)));
    const fronts = await Promise.all(servers.map((server) => guarded(server, seen)));
    try {
        const [left, right] = fronts;
        const env = { ...process.env, LEFT_URL: left.url, RIGHT_URL: right.url, COUCHDB_USER: 'admin', COUCHDB_PASSWORD: 'x y', DATABASES: 'orders customers' };
        const replicate = (over) => {
            const child = spawn('sh', [join(DOCKER, 'replicate')], { env: { ...env, ...over }, timeout: LIMIT_MS });
            return Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(([out, err, [status]]) => ({ status, out, err }));
        };
        const first = await replicate();
        assert.deepEqual([first.status, first.err], [0, ''], first.out);
        assert.ok(seen.filter((one) => one.curl).every((one) => one.admin), 'the password comes with every request, blank and all');
        const job = await couch(`${servers[0].origin}/_replicator/davenport-orders-to-right`);
        const side = (url) => ({ url: `${url}/orders`, headers: { Authorization: `Basic ${btoa('admin:x y')}` } });
        assert.deepEqual([job.source, job.target, job.continuous], [side(left.url), side(right.url), true]);
        for (const [from, to] of [servers, servers.toReversed()]) {
            for (const database of ['orders', 'customers']) {
                const document = `/${database}/by-${from.name}`;
                await couch(`${from.origin}${document}`, { method: 'PUT', json: { n: 1 } });
                // Another change each time, for these servers now and then leave the last one out until then.
                await until(`${document} in ${to.name}`, async () => {
                    await couch(`${from.origin}/${database}`, { method: 'POST', json: {} });
                    return (await fetch(`${to.origin}${document}`)).status === 200;
                }, { every_ms: 300 });
            }
        }
        const again = await replicate();
        assert.equal(again.status, 0, again.err);
        assert.doesNotMatch(again.out, /: made /);
        assert.equal((await replicate({ COUCHDB_PASSWORD: '"' })).status, 2);
        assert.equal((await replicate({ DATABASES: 'no/such' })).status, 1);
    } finally {
        fronts.forEach((front) => front.close());
        await Promise.all(servers.map((server) => server.close()));
    }
});
