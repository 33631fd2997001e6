// A crash: it leaves a report that a person can read, the supervisor sees the signal, and the next process goes on from what
// was on the disk.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { configuration, Proxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, until } from '../support/wait.mjs';

// The numbers of the process's threads of this name.
const threads = (pid, name) => readdirSync(`/proc/${pid}/task`).filter((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').trim() === name);

test('a report, the signal, and a restart that knows of it', async (t) => {
    const regions = await Promise.all(['left', 'right'].map((name) => ScriptedRegion.start(name)));
    for (const region of regions) {
        region.on(/ \/db\//, [answer(200, { ok: true })]);
        region.on(/ \/db\/stuck/, [{ until: new Promise(() => {}) }]);
    }
    const state = scratch('state');
    const proxy = new Proxy(configuration(regions, { workers: 2, state: { dir: state } }));
    const run = async () => {
        rmSync(proxy.portFile, { force: true }); // a crash leaves it
        await proxy.run();
    };
    try {
        await run();
        // A sanitizer keeps the signals of faults to itself (handle_segv=2).
        const signal = proxy.sanitized ? 'SIGABRT' : 'SIGSEGV';
        await until('both to serve', async () => (await proxy.status()).regions.every((one) => one.health === 'up'));
        // A crash may come before a slow disk has it.
        await until('an order that is on the disk', async () => (await proxy.order('drain', { region: 'right', reason: 'kernel' })).json.kept === 'disk');
        const { epoch } = await proxy.status();
        const stuck = request(`${proxy.origin}/db/stuck?secret=hidden`, { headers: { authorization: 'Basic aGlkZGVu' } }).catch((error) => error);
        await until('a request to be under way', () => regions[0].requests.some((one) => one.target.includes('stuck')));

        proxy.child.signal(signal);
        const result = await proxy.child.wait(120_000);
        assert.deepEqual(result, { code: null, signal });
        assert.ok((await stuck) instanceof Error, 'its connection broke');
        const report = readFileSync(join(state, 'crash.txt'), 'utf8');
        assert.ok(report.startsWith(`crash: ${signal} sent by process ${process.pid} of uid ${process.getuid()}, `), report);
        assert.match(report, /^crash: \w+ sent by process \d+ of uid \d+, \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, davenport \d/);
        assert.match(report, new RegExp(`^build id [0-9a-f]+, process ${proxy.pid}, thread \\d+ `, 'm'));
        assert.match(report, /^backtrace .*\n(.*\([\w@.]*\+0x[0-9a-f]+\).*\n){3,}/m);
        assert.match(report, /^worker \d \(thread \d+\): 1 connections, last at work on a request in phase (send|await): GET, \w+, at region left$/m);
        assert.match(report, /end of the report\n$/);
        assert.doesNotMatch(report, /hidden|aGlkZGVu|stuck/, 'no path, no query, no credentials');
        assert.ok(proxy.child.text().includes(report.split('\n')[0]), 'the log has it too');

        await run();
        const [told] = proxy.child.text().split('\n').filter((line) => line.includes('"event":"crashed_before"')).map((line) => JSON.parse(line));
        assert.equal(told.detail, report.split('\n')[0]);
        assert.equal(readFileSync(told.report, 'utf8'), report);
        const journal = await until('the journal to tell of it', () => {
            const lines = proxy.journalLines();
            return lines.some((line) => line.event === 'crashed_before') && lines;
        });
        assert.equal(journal.find((line) => line.event === 'crashed_before').detail, told.report);
        const after = await proxy.status();
        assert.ok(after.epoch >= epoch);
        assert.equal((await proxy.region('right')).drained?.reason, 'kernel', 'orders stand');
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);

        assert.equal(threads(proxy.pid, 'worker 1').length, 1, 'threads have names, in the report and elsewhere');
        await proxy.stop();
        await run();
        assert.doesNotMatch(proxy.child.text().split('"event":"stopped"')[1], /crashed_before/, 'it is told once');
        await proxy.stop();
    } catch (error) {
        t.diagnostic(`the proxy's last words:\n${proxy.child?.text().slice(-6_000)}`);
        throw error;
    } finally {
        proxy.child?.signal('SIGKILL');
        await Promise.all(regions.map((region) => region.close()));
    }
});
