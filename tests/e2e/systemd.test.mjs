// The units of conf/systemd, by systemd's own tools, which need no running systemd for that.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BINARY } from '../support/proxy.mjs';
import { scratch } from '../support/wait.mjs';

const UNITS = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'conf', 'systemd');
// "1.3 OK" is what it says; docs/install.md tells of it.
const EXPOSURE_MAX = 2.0;

const analyze = (...args) => spawnSync('systemd-analyze', [...args], { encoding: 'utf8', timeout: 120_000 });

test('the service is sandboxed', () => {
    const got = analyze('security', '--offline=true', '--no-pager', join(UNITS, 'davenport.service'));
    const found = /Overall exposure level for davenport\.service: ([\d.]+)/.exec(got.stdout);
    assert.ok(found, got.stdout + got.stderr);
    assert.ok(Number(found[1]) < EXPOSURE_MAX, got.stdout);
});

test('the units have no mistakes, and what they run is there', () => {
    const folder = scratch('units');
    for (const name of ['davenport.service', 'davenport.socket']) {
        const text = readFileSync(join(UNITS, name), 'utf8').replaceAll('/usr/bin/davenport', BINARY);
        writeFileSync(join(folder, name), text);
    }
    const got = analyze('verify', '--man=no', join(folder, 'davenport.service'), join(folder, 'davenport.socket'));
    // Of these files only: the machine's own units may have troubles of their own.
    const ours = (got.stdout + got.stderr).split('\n').filter((line) => line.includes('davenport'));
    assert.deepEqual(ours, []);
    for (const row of ['ExecStart', 'ExecReload']) {
        const [, command] = new RegExp(`^${row}=/usr/bin/davenport (\\w+)`, 'm').exec(readFileSync(join(UNITS, 'davenport.service'), 'utf8'));
        const help = spawnSync(BINARY, ['help', command], { encoding: 'utf8', timeout: 60_000 });
        assert.equal(help.status, 0, command);
        assert.match(help.stdout, /-c, --config/);
    }
});
