// What operators order, with real processes: drain, freeze, switch with a time and an epoch, what refuses, who did it,
// and that none of it is forgotten when the process is killed.

import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { leashed } from '../support/child.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { BINARY, configuration, Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, until, within } from '../support/wait.mjs';

let regions;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach((region) => region.on(/^GET \/db/, [answer(200, { from: region.name })]));
});
after(() => Promise.all(regions.map((region) => region.close())));

const proxied = (body, over = {}) => withProxy(() => regions, over, body);
const up = (proxy) => until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));
const from = async (proxy) => (await request(`${proxy.origin}/db/a`)).json.from;
const linesOf = (path) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []);
const parses = (line) => {
    try {
        return JSON.parse(line);
    } catch {
        return null;
    }
};

// An answer waits for the disk, but not for ever: "disk" must be true when it is said, "pending" before long.
async function settled(proxy, done) {
    const files = [proxy.journal, `${proxy.journal}.1`];
    const there = () => files.flatMap(linesOf).map(parses).some((line) => line?.epoch === done.json.epoch);
    if (done.json.kept === 'pending') {
        await until('a slow disk', there);
    } else {
        assert.equal(done.json.kept, 'disk');
        assert.ok(there(), 'it was on the disk before it was answered');
    }
}

test(
    'drain: rehearsed, carried out, recorded with who and why, undone',
    proxied(async (proxy) => {
        await up(proxy);
        const epoch = (await proxy.status()).epoch;
        const dry = proxy.cli('drain', 'left', '--dry-run');
        assert.equal(dry.status, 0, dry.stderr);
        assert.match(dry.stdout, /^dry run: drain left: would do this \(epoch \d+\)\n {2}traffic +left -> right\n {2}left +ok -> barred, drained\n$/);
        assert.equal((await proxy.status()).epoch, epoch);
        assert.equal(await from(proxy), 'left');

        const done = await proxy.order('drain', { region: 'left', reason: 'kernel "update"', epoch, ttl_s: 3600 });
        assert.equal(done.status, 200, done.text);
        assert.deepEqual([done.json.done, done.json.epoch], [true, epoch + 1]);
        await settled(proxy, done);
        assert.deepEqual([done.json.before.active, done.json.after.active], ['left', 'right']);
        const line = linesOf(proxy.journal).map(parses).findLast((one) => one?.event === 'drain');
        assert.deepEqual(
            [line.region, line.before, line.after, line.actor, line.reason, line.epoch, line.serving_after, line.min_regions],
            ['left', 'left', 'right', 'test@e2e (loopback)', 'kernel "update"', epoch + 1, 1, 1],
        );
        await until('the other region to answer', async () => (await from(proxy)) === 'right');
        assert.match(proxy.cli('status').stdout, /^Drained: left by test@e2e \(loopback\), .* for 5\d min .* more: kernel "update"$/m);
        assert.match(proxy.cli('explain').stdout, /takes nothing, not even as a last resort/);

        const refused = proxy.cli('drain', 'right');
        assert.deepEqual([refused.status, refused.stdout], [4, '']);
        assert.match(refused.stderr, /^davenport: refused \(min_regions\): 0 regions would be left that serve, and safety\.min_regions is 1\n$/);
        assert.equal(proxy.cli('switch', 'left', '--force').status, 4, 'nothing forces a drained region');
        assert.equal(proxy.cli('resume', 'left', '--epoch', String(epoch)).status, 5, 'the epoch has moved');
        assert.equal(proxy.cli('resume', 'nowhere').status, 1);
        assert.equal(proxy.cli('resume', 'left', '--epoch', String((await proxy.status()).epoch)).status, 0);
        const seen = (await proxy.events()).filter((one) => one.event === 'refused').map((one) => [one.order, one.rule]);
        assert.deepEqual(seen, [
            ['drain', 'min_regions'],
            ['switch', 'region_drained'],
            ['resume', 'epoch_moved'],
        ]);
        const actor = (await proxy.events()).findLast((one) => one.event === 'resume').actor;
        assert.match(actor, /^[\w.-]+@[\w.-]+ \(loopback\)$/);
    }),
);

test(
    'freeze: a dead region keeps the traffic, and requests are still saved one by one; its time ends it',
    proxied(async (proxy) => {
        const dead = await ScriptedRegion.start('dead');
        const frozen = await Proxy.start([dead, regions[1]]);
        await up(frozen);
        assert.equal((await frozen.order('freeze', { ttl_s: 3600, reason: 'a test' })).status, 200);
        await dead.close();
        await until('the region to be down', async () => (await frozen.status()).regions[0].health === 'down');
        assert.equal(await frozen.active(), 'dead');
        assert.match(frozen.cli('explain').stdout, /frozen by test@e2e/);
        assert.equal(await from(frozen), 'right');
        assert.equal(await frozen.active(), 'dead');
        assert.equal((await frozen.order('freeze', { ttl_s: 1, reason: 'a shorter one' })).status, 200);
        await frozen.untilActive('right');
        const events = await frozen.events();
        const over = events.findIndex((one) => one.event === 'unfreeze');
        assert.equal(events[over].actor, 'ttl');
        assert.equal(events.findIndex((one) => one.event === 'failover'), over + 1, 'and not before');
        await frozen.stop();
        assert.equal((await proxy.order('freeze', { region: 'left' })).status, 400);
    }),
);

test(
    'the dwell refuses a hasty way back, and --force says what it overrode',
    proxied(
        async (proxy) => {
            await up(proxy);
            assert.equal(proxy.cli('switch', 'right', '--reason', 'drill').status, 0);
            const hasty = await proxy.order('switch', { region: 'left' });
            assert.deepEqual([hasty.status, hasty.json.error], [409, 'dwell']);
            const dry = proxy.cli('switch', 'left', '--dry-run', '--json');
            assert.deepEqual([dry.status, JSON.parse(dry.stdout).refused], [4, 'dwell']);
            const forced = await proxy.order('switch', { region: 'left', force: true });
            assert.deepEqual([forced.status, forced.json.overridden], [200, ['dwell']]);
            const line = (await proxy.events()).findLast((one) => one.event === 'switch');
            assert.deepEqual([line.forced, line.overridden], [true, ['dwell']]);
        },
        { safety: { dwell_ms: 600_000 } },
    ),
);

// The process dies as it may at any time: between an order and the next, with a torn line behind it.
test('orders, history and epochs survive kill -9 and a torn line', async () => {
    const proxy = await Proxy.start(regions, { failback: { hold_down_ms: 600_000 } });
    let seen = 0;
    for (let round = 0; round < 4; round += 1) {
        await up(proxy);
        const drained = round % 2 === 0;
        const done = await until('an order that is on the disk when it is answered', async () => {
            const got = await proxy.order(drained ? 'drain' : 'resume', { region: 'left', reason: `round ${round}` });
            return got.json.kept === 'disk' && got;
        });
        assert.ok(done.json.epoch > seen, `${done.json.epoch} after ${seen}`);
        seen = done.json.epoch;
        // One more whose place on the disk nobody waits for.
        const hasty = request(`${proxy.admin}/freeze`, { method: 'POST', headers: { 'davenport-admin': '1' }, json: {} }).then(
            (got) => got.json.epoch,
            () => 0,
        );
        await proxy.child.kill();
        seen = Math.max(seen, await hasty);
        appendFileSync(proxy.journal, '{"ts":"2026-01-01T00:00:00.000Z","epoch":9');
        rmSync(proxy.portFile, { force: true });
        await proxy.run();
        const status = await proxy.status();
        assert.ok(status.epoch > seen, `${status.epoch} after ${seen}: no epoch is told twice`);
        seen = status.epoch;
        assert.equal(status.regions[0].drained !== null, drained);
        assert.equal(status.active, 'right', 'left was drained, and a restart is no way back before its hold is over');
        assert.ok((await proxy.events()).some((one) => one.reason === `round ${round}`), 'what was before the kill is still shown');
    }
    await proxy.stop();
    const lines = linesOf(proxy.journal);
    const whole = lines.map(parses).filter(Boolean);
    assert.equal(lines.length - whole.length, 4, 'the torn ones spoiled no other');
    const epochs = whole.map((line) => line.epoch);
    assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b));
});

test('a stream of events goes on over a restart, without a gap and without an echo', async () => {
    const admin = join(scratch('admin'), 'admin.sock');
    const proxy = new Proxy(configuration(regions, { admin: { listen: `unix:${admin}` } }));
    await proxy.run();
    const order = (name, json) =>
        new Promise((resolve, reject) => {
            const req = http.request(
                { socketPath: admin, path: `/${name}`, method: 'POST', headers: { host: 'localhost', 'davenport-admin': '1' } },
                (res) => res.resume().on('end', () => resolve(res.statusCode)),
            );
            req.on('error', reject).end(JSON.stringify(json));
        });
    const follower = leashed(BINARY, ['events', '--follow', '--json', '--admin', `unix:${admin}`], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let said = '';
    follower.stdout.on('data', (part) => (text += part));
    follower.stderr.on('data', (part) => (said += part));
    const seen = () => text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
    const reasons = () => seen().filter((line) => line.event === 'freeze').map((line) => line.reason);
    await until('the first line', () => seen().length > 0);
    assert.equal(await order('freeze', { reason: 'one' }), 200);
    await until('the order', () => reasons().length === 1);
    await proxy.child.kill();
    await until('the follower to say so', () => said.includes('the proxy is away'));
    rmSync(proxy.portFile, { force: true });
    await proxy.run();
    assert.equal(await order('freeze', { reason: 'two' }), 200);
    await until('the second order', () => reasons().includes('two'));
    assert.deepEqual(reasons(), ['one', 'two']);
    await proxy.stop();
    await until('its last line', () => seen().at(-1).event === 'stopped');
    const texts = text.split('\n').slice(0, -1);
    assert.equal(new Set(texts).size, texts.length, 'no line comes twice');
    const exited = new Promise((resolve) => follower.once('exit', resolve));
    follower.kill('SIGTERM');
    await within('the follower to end', exited);
});

test(
    'who follows the events over HTTP gets lines as chunks',
    proxied(async (proxy) => {
        await up(proxy);
        const got = await new Promise((resolve, reject) => {
            const req = http.get(`${proxy.admin}/events?follow=true&limit=0`, (res) => {
                let text = '';
                res.on('data', (part) => {
                    text += part;
                    if (text.includes('\n')) {
                        req.destroy();
                        resolve({ headers: res.headers, text });
                    }
                });
                proxy.order('freeze', { reason: 'hello' }).catch(reject);
            });
            req.on('error', reject);
        });
        assert.equal(got.headers['transfer-encoding'], 'chunked');
        assert.equal(got.headers['content-type'], 'application/x-ndjson');
        assert.equal(parses(got.text.split('\n')[0]).reason, 'hello');
        assert.equal((await proxy.order('unfreeze')).status, 200);
    }),
);

test('SIGUSR1 opens the journal anew, and it is rotated by size', async (t) => {
    await withProxy(() => regions, { journal: { max_bytes: 65_536, keep: 2 } }, async (proxy) => {
        /* what the first probes bring belongs before it */
        await up(proxy);
        await settled(proxy, await proxy.order('freeze', { reason: 'before' }));
        renameSync(proxy.journal, `${proxy.journal}.away`);
        proxy.child.signal('SIGUSR1');
        await until('the new file', () => existsSync(proxy.journal));
        await settled(proxy, await proxy.order('freeze', { reason: 'after' }));
        assert.deepEqual([...linesOf(proxy.journal)].map(parses).map((line) => line.reason), ['after']);
        assert.ok(linesOf(`${proxy.journal}.away`).map(parses).some((line) => line.reason === 'before'));
        const reason = 'x'.repeat(180);
        for (let i = 0; i < 300; i += 1) {
            await settled(proxy, await proxy.order(i % 2 ? 'freeze' : 'unfreeze', { reason }));
        }
        assert.ok(existsSync(`${proxy.journal}.1`) && existsSync(`${proxy.journal}.2`) && !existsSync(`${proxy.journal}.3`));
        for (const name of ['', '.1', '.2']) {
            assert.ok(readFileSync(`${proxy.journal}${name}`).length <= 65_536);
            assert.ok(linesOf(`${proxy.journal}${name}`).every(parses));
        }
    })(t);
});

test('a disk that takes nothing holds nobody up, is told, and gets everything once it is back', async () => {
    const folder = join(scratch('gone'), 'folder');
    const journal = join(folder, 'journal.jsonl');
    const proxy = await Proxy.start(regions, { journal: { path: journal } });
    await up(proxy);
    const done = await proxy.order('drain', { region: 'left', reason: 'in the dark' });
    assert.deepEqual([done.status, done.json.kept], [200, 'pending']);
    await until('the other region to answer', async () => (await from(proxy)) === 'right');
    assert.match(proxy.cli('status').stdout, /^Journal: its disk refuses it, \d+ lines wait/m);
    assert.match(proxy.child.text(), /"event":"journal_not_written"/);
    assert.ok((await proxy.metric('davenport_journal_waiting_lines')) > 0);
    mkdirSync(folder);
    await until('the lines', () => linesOf(journal).map(parses).some((line) => line?.reason === 'in the dark'));
    await until('the state', () => existsSync(`${journal}.state`));
    assert.equal(JSON.parse(readFileSync(`${journal}.state`, 'utf8')).drained.left.reason, 'in the dark');
    await until('the trouble to be over', async () => !(await proxy.status()).journal.troubled);
    await proxy.stop();
});

test('a damaged state file is said aloud', async () => {
    const proxy = new Proxy(configuration(regions));
    writeFileSync(`${proxy.journal}.state`, '{"version":1,"dra');
    await proxy.run();
    assert.match(proxy.child.text(), /"event":"state_not_read"/);
    assert.ok((await proxy.events()).some((line) => line.event === 'orders_forgotten'));
    await proxy.stop();
});
