// user and group: after the sockets are bound nothing is left of what the process could do before.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child } from '../support/child.mjs';
import { BINARY, configuration, SANITIZER_REPORT } from '../support/proxy.mjs';
import { atExit, until } from '../support/wait.mjs';

const NOBODY = { name: 'nobody', uid: 65534, gid: 65534 };
const root = process.getuid() === 0;
const region = { name: 'left', origin: 'http://127.0.0.1:1' };

function start(over) {
    const folder = mkdtempSync(join(tmpdir(), 'davenport-privilege-'));
    atExit(() => rmSync(folder, { recursive: true, force: true }));
    chmodSync(folder, 0o777); // the user that it becomes removes its sockets from there
    const file = join(folder, 'davenport.json');
    writeFileSync(file, JSON.stringify(configuration([region], over(folder))));
    return new Child(BINARY, ['serve', '-c', file], { cwd: folder, output: join(folder, 'output.txt') });
}

const says = (child, word) =>
    until(word, () => {
        assert.ok(child.running || child.text().includes(word), child.text());
        return child.text().includes(`"event":"${word}"`);
    });

const status = (child, name) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1];

test('it becomes the user, without groups, capabilities or a way back; who may not is told', async () => {
    const child = start((folder) => ({
        user: NOBODY.name,
        listen: { address: `unix:${join(folder, 'http.sock')}` },
        access_log: { path: '-' },
    }));
    if (!root) {
        assert.equal((await child.wait()).code, 1);
        assert.match(child.text(), /"what":"user","address":"nobody","reason":"only root can become somebody else"/);
        return;
    }
    await says(child, 'ready');
    assert.deepEqual(status(child, 'Uid').split('\t'), Array(4).fill(String(NOBODY.uid)));
    assert.deepEqual(status(child, 'Gid').split('\t'), Array(4).fill(String(NOBODY.gid)));
    assert.equal(status(child, 'Groups').trim(), String(NOBODY.gid));
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) {
        assert.match(status(child, set), /^0+$/, set);
    }
    assert.equal(status(child, 'NoNewPrivs'), '1');
    const socket = statSync(join(child.output, '..', 'http.sock'));
    assert.equal(socket.uid, NOBODY.uid);
    child.signal('SIGTERM');
    assert.deepEqual(await child.wait(), { code: 0, signal: null }, child.text());
    assert.doesNotMatch(child.text(), SANITIZER_REPORT);
    assert.throws(() => statSync(join(child.output, '..', 'http.sock')), 'the socket is removed');
});

test('who does not exist is named; numbers will do', async () => {
    const wrong = start(() => ({ user: 'no-such-user' }));
    assert.equal((await wrong.wait()).code, 1);
    assert.match(wrong.text(), /"what":"user","address":"no-such-user","reason":"there is no such user"/);
    const group = start(() => ({ group: 'no-such-group' }));
    assert.equal((await group.wait()).code, 1);
    assert.match(group.text(), /"what":"group","address":"no-such-group"/);
    const own = start(() => ({ user: String(process.getuid()), group: String(process.getgid()) }));
    await says(own, 'ready');
    own.signal('SIGTERM');
    assert.equal((await own.wait()).code, 0, own.text());
});
