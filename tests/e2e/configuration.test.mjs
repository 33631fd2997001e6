// The whole configuration read again: what changes is in force, what goes on notices nothing, what is wrong changes nothing.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { answer, chunk, chunkedHead } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { httpClient, Load } from '../support/load.mjs';
import { merge, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until, within } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

let left, right, third;

before(async () => {
    [left, right, third] = await Promise.all(['left', 'right', 'third'].map((name) => ScriptedRegion.start(name)));
    for (const region of [left, right, third]) {
        region.on(/^GET \/db/, [answer(200, { from: region.name })]);
        region.on(/^PUT \/db/, [answer(201, { ok: true })]);
        region.on(/^POST \/db\/_find/, [answer(200, { docs: [{}] })]);
    }
});
after(() => Promise.all([left, right, third].map((region) => region.close())));

const proxied = (regions, body) => withProxy(() => regions(), {}, body);
const from = async (proxy) => (await request(`${proxy.origin}/db/a`)).json?.from;
const health = async (proxy, name) => (await proxy.status()).regions.find((one) => one.name === name)?.health;
const up = (proxy, name) => until(`${name} to be up`, async () => (await health(proxy, name)) === 'up');
const entry = (region) => ({ name: region.name, url: region.origin });

// Writes the file and asks for it: the answer of POST /reload.
async function reload(proxy, over) {
    const config = typeof over === 'string' ? over : JSON.stringify(merge(proxy.config, over));
    writeFileSync(proxy.configPath, config);
    return proxy.order('reload');
}

test(
    'keys change while it runs, and each change is told',
    proxied(() => [left, right], async (proxy) => {
        await up(proxy, 'left');
        await up(proxy, 'right');
        const before_ = await proxy.status();
        const done = await reload(proxy, { limits: { target_bytes: 256 }, probe: { fall: 7 }, failback: { mode: 'manual' } });
        assert.equal(done.status, 200, done.text);
        assert.equal(done.json.reload, 'done');
        assert.deepEqual(done.json.changed.sort(), ['failback.mode: hold_down -> manual', 'limits.target_bytes: 16384 -> 256', 'probe.fall: 2 -> 7']);
        await until('the new limit', async () => (await request(`${proxy.origin}/${'x'.repeat(300)}`)).status === 414);
        const status = await proxy.status();
        assert.equal(status.failback, 'manual');
        assert.equal(status.epoch, before_.epoch + 1);
        assert.deepEqual(status.regions.map((one) => [one.name, one.health, one.since]), before_.regions.map((one) => [one.name, one.health, one.since]), 'health goes on');
        const line = (await proxy.events()).findLast((one) => one.event === 'reloaded');
        assert.match(line.detail, /probe\.fall: 2 -> 7/);
        assert.equal(line.actor, 'test@e2e (loopback)');

        const again = proxy.cli('reload');
        assert.deepEqual([again.status, again.stdout.split('\n')[0].replace(/\d+/, 'N')], [0, 'reloaded: no key changed (epoch N)'], again.stderr);
    }),
);

test(
    'a broken file, a key that needs a restart: all problems are told and nothing changes',
    proxied(() => [left, right], async (proxy) => {
        await up(proxy, 'left');
        const broken = await reload(proxy, { probe: { fall: 0, rise: 'x' }, nonsense: 1 });
        assert.deepEqual([broken.status, broken.json.error, broken.json.reload], [409, 'reload_refused', 'refused']);
        assert.equal(broken.json.problems.length, 3, broken.text);
        assert.ok(broken.json.problems.some((line) => /probe\.fall: must be 1 to 100, not 0/.test(line)));
        const json = await reload(proxy, '{ "regions": [ ');
        assert.equal(json.status, 409);
        const restart = await reload(proxy, { workers: 2, listen: { port: 1 }, probe: { fall: 9 } });
        assert.equal(restart.status, 409);
        assert.deepEqual(restart.json.problems.map((line) => line.replace(/^.*\.json: /, '')).sort(), [
            'listen.port: needs a restart to change',
            'workers: needs a restart to change',
        ]);
        const cli = proxy.cli('reload');
        assert.equal(cli.status, 4);
        assert.match(cli.stdout, /^refused, nothing was changed .*\n(.*\n)*.*workers: needs a restart to change/);
        const status = await proxy.status();
        assert.equal(status.reloads_done, 0);
        assert.equal(status.reloads_refused, 4);
        assert.equal(await from(proxy), 'left');
        assert.ok((await proxy.events()).some((one) => one.event === 'reload_refused' && /needs a restart/.test(one.detail)));
        assert.equal((await reload(proxy, {})).status, 200);
    }),
);

test(
    'a region is added and takes the traffic; the others keep health, orders and numbers over another order',
    proxied(() => [left, right], async (proxy) => {
        await up(proxy, 'left');
        await up(proxy, 'right');
        assert.equal((await proxy.order('drain', { region: 'right', reason: 'a test' })).status, 200);
        const done = await reload(proxy, { regions: [entry(third), entry(right), entry(left)] });
        assert.deepEqual(done.json.changed, ['regions.third: added', 'regions: another order of preference'], done.text);
        await up(proxy, 'third');
        const status = await proxy.status();
        assert.deepEqual(status.regions.map((one) => [one.name, one.drained !== null]), [['third', false], ['right', true], ['left', false]]);
        assert.equal(await from(proxy), 'left', 'traffic does not move because of a new order');
        assert.equal((await proxy.move('third', 'a test')).status, 200);
        await until('the new region to answer', async () => (await from(proxy)) === 'third');
        assert.equal((await proxy.order('resume', { region: 'right' })).status, 200);
        assert.equal((await proxy.move('right', 'a test')).status, 200);
        await until('right to answer', async () => (await from(proxy)) === 'right');
    }),
);

test(
    'a region that is taken out: traffic moves, what was sent is answered, feeds end after a whole line',
    proxied(() => [left, right], async (proxy) => {
        await up(proxy, 'left');
        await up(proxy, 'right');
        let go;
        const released = new Promise((resolve) => (go = resolve));
        left.on(/slow/, [{ until: released }, answer(200, { from: 'left, late' })], { times: 1 });
        left.on(/feed=continuous/, [chunkedHead(), chunk('{"seq":1}\n'), { until: new Promise(() => {}) }], { times: 1 });
        const slow = request(`${proxy.origin}/db/slow`);
        const feed = await Wire.connect(proxy.port);
        feed.send('GET /db/_changes?feed=continuous HTTP/1.1\r\nHost: h\r\n\r\n');
        await feed.text(/"seq":"1~/);
        await until('the slow one to be on its way', () => left.requests.some((one) => /slow/.test(one.target)));
        const done = await reload(proxy, { regions: [entry(right)] });
        assert.deepEqual(done.json.changed, ['regions.left: removed'], done.text);
        assert.equal((await proxy.status()).active, 'right');
        assert.equal((await proxy.events()).findLast((one) => one.event === 'removed').after, 'right');
        await until('right to answer', async () => (await from(proxy)) === 'right');
        await feed.text(/\r\n0\r\n\r\n/);
        go();
        assert.equal((await within('the slow one', slow)).json.from, 'left, late');
        assert.match(proxy.cli('explain').stdout, /traffic goes to right .*: left was taken out of the configuration/);

        // And back again, at another url under the same name.
        const back = await reload(proxy, { regions: [{ name: 'left', url: third.origin }, entry(right)] });
        assert.deepEqual(back.json.changed, ['regions.left: added']);
        await up(proxy, 'left');
        const moved = await reload(proxy, { regions: [{ name: 'left', url: left.origin }, entry(right)] });
        assert.deepEqual(moved.json.changed, [`regions.left.url: ${third.origin} -> ${left.origin}`]);
        await up(proxy, 'left');
        assert.equal((await proxy.move('left', 'a test')).status, 200);
        await until('the new url to answer', async () => (await from(proxy)) === 'left');
    }),
);

// What runs meanwhile loses nothing; with a sanitizer below, the end of the proxy is the check for leaks.
test('a hundred reloads under load drop nothing', async (t) => {
    const sets = [
        { regions: [entry(left), entry(right)] },
        { regions: [entry(right), entry(left), entry(third)], timeouts: { idle_ms: 200_000 } },
        { regions: [entry(third), entry(left)], limits: { upstream_idle: 5 }, probe: { interval_ms: 300 } },
        { regions: [{ name: 'left', endpoints: [left.origin, right.origin] }, entry(third)], failback: { mode: 'manual' } },
    ];
    await withProxy([left, right], { workers: 2 }, async (proxy) => {
        const load = new Load(httpClient(`${proxy.origin}/db`, { sockets: 30 }), {
            known: ['a', 'b', 'c'],
            clients: 30,
            think_ms: 20,
            mix: ['get', 'put', 'get', 'find'],
        });
        t.after(() => load.stop());
        for (let i = 1; i <= 100; i += 1) {
            const done = await reload(proxy, sets[i % sets.length]);
            assert.equal(done.status, 200, done.text);
            await load.done(10);
        }
        await load.stop();
        t.diagnostic(load.summary());
        assert.deepEqual(load.failed, []);
        const status = await proxy.status();
        assert.equal(status.reloads_done, 100);
        await until('the last numbers', async () => (await proxy.metric('davenport_client_requests_active')) === 0);
    })(t);
});
