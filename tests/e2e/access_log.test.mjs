// The access log of a running proxy: complete, rotated under load, and without anybody's secrets.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { answer, chunk, chunkedHead } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, until } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

let region;

before(async () => {
    region = await ScriptedRegion.start('left');
    region.on(/ \/db\//, [answer(200, { ok: true })]);
    region.on(/feed=continuous/, [chunkedHead(), chunk('{"seq":1}\n'), { until: new Promise(() => {}) }]);
});
after(() => region.close());

const logging = (path, over = {}) => calm({ access_log: { path, flush_ms: 50, ...over } });
const linesOf = (path) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n') : ['']);
// Every line whole: parses, and ends with a newline.
function parsed(path) {
    const lines = linesOf(path);
    assert.equal(lines.pop(), '');
    return lines.map((line) => JSON.parse(line));
}

test('a line tells what was asked and what became of it, and no secret', async (t) => {
    const path = join(scratch('log'), 'access.log');
    await withProxy([region], logging(path), async (proxy) => {
        const at = proxy.origin.replace('//', '//user:hidden1@');
        await request(`${at}/db/doc?x=%22`, { headers: { 'user-agent': 'nano/"10', cookie: 'AuthSession=hidden2' } });
        await request(`${proxy.origin}/db/doc`, { method: 'PUT', json: { a: 1 } });
        const wire = await Wire.connect(proxy.port);
        wire.send('GET http://user:hidden3@h/ HTTP/1.1\r\nHost: h\r\n\r\n');
        assert.equal((await wire.response()).status, 400);
        const feed = await Wire.connect(proxy.port);
        feed.send('GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: h\r\n\r\n');
        await feed.text(/"seq":"1~/);
        feed.destroy();
        const lines = await until('four lines', () => parsed(path).length === 4 && parsed(path));
        const shown = lines.map(({ method, target, class: means, status, region: from, attempts, end, reason }) =>
            [method, target, means, status, from, attempts, end, reason]);
        assert.deepEqual(shown, [
            ['GET', '/db/doc?x=%22', 'read', 200, 'left', 1, 'answered', null],
            ['PUT', '/db/doc', 'write', 200, 'left', 1, 'answered', null],
            ['GET', null, null, 400, null, 0, 'refused', 'bad_host'],
            ['GET', '/db/_changes?feed=continuous', 'feed', 200, 'left', 1, 'client_gone', 'client_gone'],
        ]);
        const [get, put] = lines;
        assert.equal(get.user_agent, 'nano/"10');
        assert.deepEqual([put.bytes_in, put.bytes_out], [7, 12]);
        assert.ok(Math.abs(Date.now() - Date.parse(get.time)) < 60_000, get.time);
        assert.ok(get.total_ms >= get.first_byte_ms && get.first_byte_ms > 0, JSON.stringify(get));
        assert.doesNotMatch(readFileSync(path, 'utf8'), /hidden|dXNlcj/);
        assert.equal(await proxy.metric('davenport_access_log_lines_total'), 4);
        assert.equal(await proxy.metric('davenport_access_log_dropped_total'), 0);
    })(t);
});

test('the combined format goes to stdout when the path is -', async (t) => {
    await withProxy([region], logging('-', { format: 'combined' }), async (proxy) => {
        await request(`${proxy.origin}/db/doc`, { headers: { 'user-agent': 'a"b' } });
        await until('the line', () =>
            /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/db\/doc HTTP\/1\.1" 200 12 "-" "a\\"b"$/m.test(proxy.child.text()));
    })(t);
});

// HAProxy's own reader of its logs, where it is installed with it.
test('the haproxy format is read by halog', { skip: !existsSync('/usr/bin/halog') && 'halog (Debian package haproxy) is not installed' }, async (t) => {
    const path = join(scratch('log'), 'access.log');
    const halog = (...options) => {
        const done = spawnSync('/usr/bin/halog', ['-s', '-4', ...options], { input: readFileSync(path), encoding: 'utf8' });
        assert.match(done.stderr, / 0 parsing errors/, done.stderr);
        return done.stdout;
    };
    await withProxy([region], logging(path, { format: 'haproxy' }), async (proxy) => {
        for (let i = 0; i < 3; i += 1) {
            await request(`${proxy.origin}/db/doc`, { headers: { 'user-agent': 'nano' } });
        }
        assert.equal((await request(`${proxy.origin}/missing"#`)).status, 404);
        const feed = await Wire.connect(proxy.port);
        feed.send('GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: h\r\n\r\n');
        await feed.text(/"seq":"1~/);
        feed.destroy();
        await until('five lines', () => linesOf(path).length === 6);
    })(t);
    const server = new URL(region.origin).host;
    const [, row] = halog('-srv').split('\n');
    assert.deepEqual(row.split(' ').slice(0, 9), [`left/${server}`, '0', '4', '0', '1', '0', '0', '5', '5'], row);
    assert.deepEqual(halog('-tc').trim().split('\n').sort(), ['-- 4', 'CD 1']);
    assert.deepEqual(halog('-st').trim().split('\n').sort(), ['200 4', '404 1']);
    assert.match(halog('-ut'), / \/db\/doc$/m);
});

// Two workers, several rotations as logrotate does them, and a load that never stops: each request is in
// exactly one file, whole.
test('a rotation under load loses no line', async (t) => {
    const path = join(scratch('log'), 'access.log');
    const rotations = 5;
    let sent = 0;
    let dropped = 0;
    await withProxy([region], { ...logging(path), workers: 2 }, async (proxy) => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
        let going = true;
        t.after(() => (going = false));
        const work = Array.from({ length: 16 }, async () => {
            while (going) {
                sent += 1;
                const got = await request(`${proxy.origin}/db/${sent}`, { agent });
                assert.equal(got.status, 200);
            }
        });
        for (let i = 1; i <= rotations; i += 1) {
            const before = sent;
            await until('more requests', () => sent > before + 100);
            await until('the file', () => existsSync(path));
            renameSync(path, `${path}.${i}`);
            proxy.child.signal('SIGUSR1');
            await until('a new file', () => existsSync(path));
        }
        going = false;
        await Promise.all(work);
        agent.destroy();
        // What the file was too slow for is counted, and left out whole. An answer is there before its line is.
        await until('a line of each', async () => (await proxy.metric('davenport_access_log_lines_total')) >= sent - (await proxy.metric('davenport_access_log_dropped_total')));
        dropped = await proxy.metric('davenport_access_log_dropped_total');
        assert.ok(dropped < sent / 2, `${dropped} of ${sent} lines were dropped`);
    })(t);
    const files = [...Array.from({ length: rotations }, (_, i) => `${path}.${i + 1}`), path];
    const targets = files.flatMap((file) => parsed(file)).map((line) => Number(line.target.slice(4)));
    const all = new Set(targets);
    assert.equal(all.size, targets.length, 'none is told twice');
    assert.ok(targets.every((n) => n >= 1 && n <= sent));
    assert.equal(targets.length + dropped, sent);
});

test('sampling leaves out what went well, and nothing else', async (t) => {
    const path = join(scratch('log'), 'access.log');
    await withProxy([region], logging(path, { sample_percent: 0 }), async (proxy) => {
        for (let i = 0; i < 5; i += 1) {
            await request(`${proxy.origin}/db/doc`);
        }
        assert.equal((await request(`${proxy.origin}/missing`)).status, 404);
        const lines = await until('the line', () => parsed(path).length > 0 && parsed(path));
        assert.deepEqual(lines.map((line) => line.status), [404]);
    })(t);
});

test('SIGUSR1 without an access log does nothing', async (t) => {
    await withProxy([region], calm(), async (proxy) => {
        proxy.child.signal('SIGUSR1');
        assert.equal((await request(`${proxy.origin}/db/doc`)).status, 200);
    })(t);
});

test('a disk that is full is counted and holds up nobody', async (t) => {
    await withProxy([region], logging('/dev/full'), async (proxy) => {
        for (let i = 0; i < 3; i += 1) {
            assert.equal((await request(`${proxy.origin}/db/doc`)).status, 200);
        }
        await until('the dropped lines', async () => (await proxy.metric('davenport_access_log_dropped_total')) === 3);
        assert.match(proxy.child.text(), /"event":"sink_not_written","path":"\/dev\/full"/);
    })(t);
});

test('a path that cannot be opened stops the start and is named', () => {
    const proxy = new Proxy({ regions: [{ name: 'left', url: region.origin }], listen: { port: 0 }, admin: { listen: '127.0.0.1:0' }, ...logging('/nonexistent/log') });
    const done = Proxy.run(['serve', '-c', proxy.configPath]);
    assert.equal(done.status, 1);
    assert.match(done.stderr, /"what":"access_log\.path","address":"\/nonexistent\/log","reason":"No such file or directory"/);
});
