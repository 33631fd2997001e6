// The Debian package: the same bytes when it is made again, nothing for lintian to say, a true bill of materials, and a
// life in a root folder of the test's own: installed, refused until it is configured, run, upgraded, removed, purged.
// dpkg works in that folder alone (--root, and scripts that know DPKG_ROOT): nothing of the machine is changed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child } from '../support/child.mjs';
import { scratch, until } from '../support/wait.mjs';

const BUILD = process.env.DAVENPORT_BUILD;
const CPACK = process.env.CPACK ?? 'cpack';

function run(command, args, options = {}) {
    const result = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000, maxBuffer: 1 << 26, ...options });
    assert.equal(result.error, undefined, `${command}: ${result.error}`);
    return result;
}

function good(command, ...args) {
    const result = run(command, args);
    assert.equal(result.status, 0, `${command} ${args.join(' ')}:\n${result.stdout}${result.stderr}`);
    return result.stdout;
}

const digest = (algorithm, bytes) => createHash(algorithm).update(bytes).digest('hex');

// What cpack makes, by the kind of file.
function packaged() {
    const folder = scratch('cpack');
    good(CPACK, '--config', join(BUILD, 'CPackConfig.cmake'), '-B', folder);
    const names = readdirSync(folder).sort();
    const of = (end) => join(folder, names.find((name) => name.endsWith(end)) ?? `no ${end}`);
    return { deb: of('.deb'), symbols: of('.ddeb'), bill: of('.deb.spdx.json') };
}

// All that is no folder below `folder`, as paths within it.
function filesIn(folder, within = '') {
    return readdirSync(join(folder, within)).flatMap((name) => {
        const path = join(within, name);
        return lstatSync(join(folder, path)).isDirectory() ? filesIn(folder, path) : [path];
    });
}

const made = packaged();

test('made again, it is the same, byte for byte', () => {
    const again = packaged();
    for (const [kind, file] of Object.entries(made)) {
        assert.equal(digest('sha256', readFileSync(again[kind])), digest('sha256', readFileSync(file)), kind);
    }
});

test('lintian has nothing to say', () => {
    const { status, stdout, stderr } = run('lintian', ['--fail-on', 'error,warning,info', '--display-info', made.deb]);
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stdout, '');
});

test('the debug symbols are those of the program', () => {
    const root = scratch('symbols');
    good('dpkg-deb', '-x', made.deb, root);
    good('dpkg-deb', '-x', made.symbols, root);
    const [, id] = good('readelf', '-n', join(root, 'usr/bin/davenport')).match(/Build ID: ([0-9a-f]+)/);
    const file = `usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`;
    const sums = good('sh', '-c', 'dpkg-deb --ctrl-tarfile "$1" | tar -xO ./md5sums', 'sh', made.symbols);
    assert.equal(sums, `${digest('md5', readFileSync(join(root, file)))}  ${file}\n`);
});

test('the manual pages are well-formed', () => {
    const root = scratch('pages');
    good('dpkg-deb', '-x', made.deb, root);
    const pages = filesIn(join(root, 'usr/share/man'));
    assert.deepEqual(pages.sort(), ['man1/davenport.1.gz', 'man5/davenport.json.5.gz']);
    for (const page of pages) {
        const { status, stdout, stderr } = run('man', ['--warnings', '-E', 'UTF-8', '-l', join(root, 'usr/share/man', page)], {
            env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80', MANROFFSEQ: '', PAGER: 'cat' },
        });
        assert.equal(status, 0, stderr);
        assert.equal(stderr, '', page);
        assert.match(stdout, /SEE ALSO/);
    }
});

test('the bill of materials tells what is in it', () => {
    const bill = JSON.parse(readFileSync(made.bill, 'utf8'));
    const root = scratch('bill');
    good('dpkg-deb', '-x', made.deb, root);
    assert.equal(bill.spdxVersion, 'SPDX-2.3');
    assert.match(bill.creationInfo.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const told = Object.fromEntries(
        bill.files.map((file) => [file.fileName.slice(2), file.checksums.find((one) => one.algorithm === 'SHA256').checksumValue]),
    );
    const there = Object.fromEntries(filesIn(root).map((file) => [file, digest('sha256', readFileSync(join(root, file)))]));
    assert.deepEqual(told, there);

    const things = [bill, ...bill.packages, ...bill.files].map((one) => one.SPDXID);
    assert.equal(new Set(things).size, things.length, 'each has an id of its own');
    for (const one of things) {
        assert.match(one, /^SPDXRef-[A-Za-z0-9.-]+$/);
    }
    for (const { spdxElementId, relatedSpdxElement } of bill.relationships) {
        assert.ok(things.includes(spdxElementId) && things.includes(relatedSpdxElement), `${spdxElementId} ${relatedSpdxElement}`);
    }
    for (const one of bill.packages) {
        assert.ok(one.name && one.versionInfo && one.downloadLocation && one.licenseDeclared, JSON.stringify(one));
    }
    assert.equal(bill.packages[0].checksums[1].checksumValue, digest('sha256', readFileSync(made.deb)));

    // Whatever the package depends on for the program's sake is in it, and whatever the program carries.
    const libraries = [...good('dpkg-deb', '-f', made.deb, 'Depends').matchAll(/(lib[a-z0-9.+-]+|zlib1g) \(>=/g)].map((match) => match[1]);
    assert.ok(libraries.length >= 6, String(libraries));
    const names = bill.packages.map((one) => one.name);
    for (const name of [...libraries, 'uplot']) {
        assert.ok(names.includes(name), `${name} is not among ${names}`);
    }
});

// A root folder in which what the package depends on counts as installed. No more of it exists than dpkg looks at.
function newRoot() {
    const root = scratch('root');
    const dpkg = join(root, 'var/lib/dpkg');
    for (const folder of ['info', 'updates', 'triggers']) {
        mkdirSync(join(dpkg, folder), { recursive: true });
    }
    mkdirSync(join(root, 'etc'));
    const depends = good('dpkg-deb', '-f', made.deb, 'Depends').split(/[,|]/).map((one) => one.trim().split(' ')[0]);
    const format = 'Package: ${Package}\\nStatus: ${Status}\\nArchitecture: ${Architecture}\\nMulti-Arch: ${Multi-Arch}\\nVersion: ${Version}\\nMaintainer: nobody\\nDescription: of the machine\\n\\n';
    const known = run('dpkg-query', ['-W', '-f', format, ...depends]).stdout.split('\n\n');
    const stanzas = `${known.filter((one) => / installed$/m.test(one)).join('\n\n')}\n`;
    writeFileSync(join(dpkg, 'status'), stanzas.replace(/^Multi-Arch: \n/gm, ''));
    for (const [, name, , architecture, multi] of stanzas.matchAll(/Package: (.+)\n(.+)\nArchitecture: (.+)\nMulti-Arch: (.*)/g)) {
        writeFileSync(join(dpkg, 'info', multi === 'same' ? `${name}:${architecture}.list` : `${name}.list`), '');
    }
    return root;
}

const dpkg = (root, ...args) => good('dpkg', `--root=${root}`, '--force-script-chrootless', '--log=/dev/null', ...args);

// What is left in a root besides dpkg's own records.
const left = (root) => filesIn(root).filter((path) => !path.startsWith('var/lib/dpkg/'));

test('installed, refused until it is configured, run, upgraded, removed, purged', async () => {
    const root = newRoot();
    dpkg(root, '--install', made.deb);
    const program = join(root, 'usr/bin/davenport');
    const config = join(root, 'etc/davenport/davenport.json');
    assert.match(good(program, '--version'), /^davenport \d+\.\d+\.\d+/);
    assert.match(readFileSync(join(root, 'etc/passwd'), 'utf8'), /^davenport:x:\d+:\d+:[^:]*:\/var\/lib\/davenport:\/usr\/sbin\/nologin$/m);

    good('bash', '-n', join(root, 'usr/share/bash-completion/completions/davenport'));
    good('zsh', '-n', join(root, 'usr/share/zsh/vendor-completions/_davenport'));
    const unit = readFileSync(join(root, 'usr/lib/systemd/system/davenport.service'), 'utf8');
    assert.match(unit, /^ExecStart=\/usr\/bin\/davenport serve -c \/etc\/davenport\/davenport\.json$/m);
    assert.ok(lstatSync(join(root, 'etc/systemd/system/multi-user.target.wants/davenport.service')).isSymbolicLink());

    // As it comes it names no region, and the program says so instead of guessing any.
    const refused = run(program, ['serve', '-c', config]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /davenport\.json: regions: must hold 1 to 16 regions, not 0/);

    const edited = JSON.parse(readFileSync(config, 'utf8'));
    assert.equal(edited.listen.address, '127.0.0.1');
    assert.equal(edited.admin.listen, 'unix:/run/davenport/admin.sock');
    edited.regions = ['east', 'west'].map((name, i) => ({ name, url: `http://127.0.0.1:${i + 1}` }));
    edited.listen.port = 0;
    for (const folder of ['run/davenport', 'var/lib/davenport/state']) {
        mkdirSync(join(root, folder), { recursive: true });
    }
    edited.admin.listen = `unix:${join(root, 'run/davenport/admin.sock')}`;
    edited.state.dir = join(root, edited.state.dir);
    edited.journal.path = join(root, edited.journal.path);
    writeFileSync(config, JSON.stringify(edited, null, 2));
    good(program, 'check', '-c', config);

    const ports = join(root, 'ports.json');
    const service = new Child(program, ['serve', '-c', config, '--port-file', ports], { output: join(root, 'output.txt') });
    await until('it to serve', () => {
        assert.ok(service.running, service.text());
        return existsSync(ports) && run(program, ['status', '-c', config]).status === 0;
    });
    service.signal('SIGTERM');
    assert.deepEqual(await service.wait(), { code: 0, signal: null }, service.text());

    // What an operator changed outlives an upgrade and a removal, what the service wrote a removal, but not a purge.
    dpkg(root, '--install', '--force-confold', made.deb);
    assert.deepEqual(JSON.parse(readFileSync(config, 'utf8')), edited);
    dpkg(root, '--remove', 'davenport');
    assert.ok(!existsSync(program));
    assert.ok(existsSync(config) && existsSync(edited.journal.path));
    assert.deepEqual(left(root).filter((path) => path.startsWith('usr/')), []);
    assert.equal(readlinkSync(join(root, 'etc/systemd/system/davenport.service')), '/dev/null', 'masked while there is no program');
    dpkg(root, '--purge', 'davenport');
    assert.ok(!existsSync(join(root, 'etc/davenport')) && !existsSync(join(root, 'var/lib/davenport')));
    const ours = left(root).filter((path) => !['output.txt', 'ports.json'].includes(path));
    assert.deepEqual(ours.filter((path) => !/^etc\/(\.pwd\.lock|passwd-?|group-?|shadow-?|gshadow-?)$/.test(path)), []);
});
