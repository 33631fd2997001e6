// Faults on purpose, with real processes: who may, what applications notice of a region that is dark, refusing, slow or
// flaky, that nothing reaches it meanwhile, that all of it is told, and that it ends.

import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { HASTE, merge, Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { pause, until } from '../support/wait.mjs';

let regions;
let secure;

function serve(region) {
    region.on(/^GET \/[a-z]/, () => [answer(200, { from: region.name })]);
    region.on(/^PUT \/[a-z]/, () => [answer(201, { ok: true, id: 'a', rev: `1-${region.name}` })]);
}

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach(serve);
});
after(() => Promise.all([...regions, ...(secure ?? [])].map((region) => region.close())));

const QUICK = { interval_ms: 100, fast_interval_ms: 50 };
const drilled = (body, over = {}) => withProxy(() => regions, merge(calm({ drills: { allowed: true }, probe: QUICK }), over), body);
const up = (proxy) => until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));
const get = (proxy, path = '/orders/a') => request(`${proxy.origin}${path}`);
const put = (proxy, path = '/orders/a') => request(`${proxy.origin}${path}`, { method: 'PUT', json: { v: 1 } });
const heal = (proxy, region) =>
    request(`${proxy.admin}/faults${region ? `/${region}` : ''}`, { method: 'DELETE', headers: { 'davenport-admin': '1' } });
const asked = (region) => region.requests.length;

// A region that requests had a part in losing is trusted again when requests prove it.
const isUp = async (proxy) => {
    await get(proxy);
    return (await proxy.region('left')).health === 'up';
};

// Reads and writes, one after the other, until `done`; all of their answers.
async function load(proxy, done) {
    const answers = [];
    for (let i = 0; !done(); i += 1) {
        answers.push(await (i % 2 ? put(proxy) : get(proxy)));
        await pause(2);
    }
    return answers;
}

test(
    'no drills without leave',
    withProxy(() => regions, calm({ probe: QUICK }), async (proxy) => {
        await up(proxy);
        const cli = proxy.cli('fault', 'left', 'dark', '--for', '30s');
        assert.deepEqual([cli.status, cli.stdout], [4, '']);
        assert.equal(cli.stderr, 'davenport: refused (drills_not_allowed): the configuration allows no faults here: drills.allowed is false\n');
        const asked = await proxy.order('faults', { region: 'left', kind: 'dark', for_ms: 1_000 });
        assert.deepEqual([asked.status, asked.json.error], [403, 'drills_not_allowed']);
        assert.equal((await request(`${proxy.admin}/faults`)).json.allowed, false);
        assert.deepEqual(
            (await proxy.events()).filter((one) => one.event === 'refused').map((one) => [one.order, one.region, one.rule]),
            [['fault', 'left', 'drills_not_allowed'], ['fault', 'left', 'drills_not_allowed']],
        );
        assert.equal((await get(proxy)).json.from, 'left');
    }),
);

for (const kind of ['dark', 'refused', 'flaky']) {
    test(
        `${kind}: the region is left, no application notices, nothing reaches it, and it comes back`,
        drilled(async (proxy) => {
            await up(proxy);
            assert.equal((await put(proxy)).headers['davenport-region'], 'left');
            const cli = proxy.cli('fault', 'left', kind, '--for', '10m', '--reason', 'quarterly');
            assert.equal(cli.status, 0, cli.stderr);
            const [, epoch] = new RegExp(`^left: ${kind}, for (?:10|9) min.* \\(epoch (\\d+)\\)\\n$`).exec(cli.stdout) ?? assert.fail(cli.stdout);
            const before = asked(regions[0]);

            let left = false;
            const [answers] = await Promise.all([load(proxy, () => left), proxy.untilActive('right').finally(() => (left = true))]);
            assert.deepEqual(answers.filter((one) => one.status >= 400).map((one) => one.text), []);
            assert.equal(asked(regions[0]), before, 'nothing reached it');
            assert.equal((await get(proxy)).json.from, 'right');

            const status = await proxy.region('left');
            assert.deepEqual([status.health, status.fault.kind, status.fault.reason], ['down', kind, 'quarterly']);
            assert.match(status.fault.actor, / \(loopback\)$/);
            assert.match(proxy.cli('status').stdout, new RegExp(`^Drill: left is ${kind} by .* for \\d min .* more: quarterly$`, 'm'));
            assert.match(proxy.cli('explain').stdout, new RegExp(`^ {2}a drill: left is ${kind} on purpose, by `, 'm'));
            assert.match(await proxy.metrics(), new RegExp(`^davenport_region_fault\\{region="left",kind="${kind}"\\} 1$`, 'm'));
            assert.ok((await proxy.metric('davenport_faults_met_total')) > 0);
            const named = await request(`${proxy.origin}/_region/left/orders/a`);
            assert.equal(named.status, 503, 'not even who names it gets there');

            const events = await proxy.events();
            const begun = events.findLast((one) => one.event === 'fault');
            assert.deepEqual([begun.region, begun.drill, begun.fault, begun.reason, begun.epoch], ['left', true, kind, 'quarterly', Number(epoch)]);
            // By one step, or by two where this process, which is both regions, stood still for a moment.
            assert.ok(events.some((one) => one.before === 'left' && /^(failover|lost)$/.test(one.event)));
            assert.ok(events.some((one) => one.after === 'right' && /^(failover|regained)$/.test(one.event)));

            const healed = proxy.cli('heal');
            assert.deepEqual([healed.status, healed.stdout], [0, 'healed: left\n']);
            await until('left to be up again', () => isUp(proxy));
            assert.equal((await proxy.events()).findLast((one) => one.event === 'heal').fault, kind);
            assert.equal((await proxy.region('left')).fault, null);
            await until('left to serve again', async () => (await get(proxy)).json.from === 'left');
            assert.equal(proxy.cli('heal', 'left').stdout, 'nothing was faulty on purpose\n');
            assert.equal(proxy.cli('heal', 'nowhere').status, 1);
        }, { ...(kind === 'dark' ? HASTE : {}), name_region: 'path', hold: { ms: 20_000 }, failback: { mode: 'hold_down', hold_down_ms: 200 } }),
    );
}

test(
    'slow: every answer begins so much later, and is whole',
    drilled(async (proxy) => {
        await up(proxy);
        const before = asked(regions[0]);
        const set = await proxy.order('faults', { region: 'left', kind: 'slow', delay_ms: 300, for_ms: 600_000 });
        assert.equal(set.status, 200, set.text);
        assert.deepEqual([set.json.fault.kind, set.json.fault.delay_ms, set.json.fault.share], ['slow', 300, 1]);
        const began = performance.now();
        const answers = await Promise.all([get(proxy), put(proxy), get(proxy, '/_all_dbs')]);
        assert.ok(performance.now() - began >= 300);
        assert.deepEqual(answers.map((one) => one.status), [200, 201, 404]);
        assert.deepEqual(answers.map((one) => one.headers['davenport-region']), ['left', 'left', 'left']);
        assert.equal(asked(regions[0]), before + 3);
        await until('a probe to be late', async () => / \(a drill\)$/.test((await proxy.region('left')).last_probe));
        assert.ok((await proxy.region('left')).probe_ms >= 300);
        assert.equal((await heal(proxy, 'left')).json.healed[0], 'left');
        assert.equal((await get(proxy)).json.from, 'left');
    }),
);

test(
    'a share of the requests of some databases: the others and the probes meet nothing',
    drilled(async (proxy) => {
        await up(proxy);
        const set = proxy.cli('fault', 'left', 'refused', '--for', '5m', '--databases', 'orders*, ledger');
        assert.equal(set.status, 0, set.stderr);
        assert.match(set.stdout, /^left: refused, databases orders\*,ledger, for /);
        // the answers of one region count as that region's: `traffic.failures` in a row would leave it
        for (const [path, from] of [['/orders/a', 'right'], ['/others/a', 'left'], ['/orders-2026/a', 'right'], ['/others/a', 'left'], ['/ledger/a', 'right'], ['/ledgers/a', 'left']]) {
            assert.equal((await get(proxy, path)).json.from, from, path);
        }
        const region = await proxy.region('left');
        assert.deepEqual([region.route, region.fault.databases], ['ok', ['orders*', 'ledger']]);
        assert.equal(region.probes_failed, 0);
        assert.equal(region.outcomes.connect_refused, 3);

        assert.equal((await proxy.order('faults', { region: 'left', kind: 'refused', share: 0.5, databases: ['orders'], for_ms: 60_000 })).status, 200);
        const seen = { left: 0, right: 0 };
        await until('both fates', async () => {
            const [one, other] = [await get(proxy), await get(proxy, '/others/a')];
            assert.deepEqual([one.status, other.json.from], [200, 'left']);
            seen[one.json.from] += 1;
            return seen.left > 0 && seen.right > 0;
        });
        assert.equal((await proxy.events()).filter((one) => one.event === 'heal')[0].reason, 'another one takes its place');
    }, { traffic: { failures: 1_000, window_requests: 0 } }),
);

test(
    'it ends by itself, with the process, and when a reload takes the leave away',
    drilled(async (proxy) => {
        await up(proxy);
        const order = (for_ms) => proxy.order('faults', { region: 'right', kind: 'dark', for_ms });
        assert.deepEqual([(await order(600_001)).json.error, (await order(0)).json.error], ['too_long', 'bad_request']);
        assert.equal((await order(100)).status, 200);
        const ended = await until('its end', async () => (await proxy.events()).find((one) => one.event === 'heal'));
        assert.deepEqual([ended.region, ended.actor, ended.drill], ['right', 'ttl', true]);
        assert.equal((await proxy.region('right')).fault, null);

        assert.equal((await order(600_000)).status, 200);
        writeFileSync(proxy.configPath, JSON.stringify({ ...proxy.config, drills: { allowed: false } }));
        assert.equal(proxy.cli('reload').status, 0);
        assert.equal((await proxy.events()).findLast((one) => one.event === 'heal').reason, 'drills.allowed is false from now on');
        assert.equal((await order(1_000)).status, 403);
        writeFileSync(proxy.configPath, JSON.stringify(proxy.config));
        assert.equal(proxy.cli('reload').status, 0);

        assert.equal((await order(600_000)).status, 200);
        proxy.child.signal('SIGKILL');
        await proxy.child.wait();
        rmSync(proxy.portFile);
        await proxy.run();
        assert.deepEqual((await request(`${proxy.admin}/faults`)).json.faults, []);
        await up(proxy);
    }),
);

test('the same over TLS', async (t) => {
    const authority = new Authority('drills');
    const leaf = authority.leaf('localhost', 'DNS:localhost,IP:127.0.0.1');
    secure = [await ScriptedRegion.start('left', { leaf }), await ScriptedRegion.start('right', { leaf })];
    secure.forEach(serve);
    const rows = secure.map((region) => ({ name: region.name, url: region.origin, tls: { ca_file: authority.file } }));
    const over = merge(calm({ drills: { allowed: true }, probe: QUICK, regions: rows }), HASTE);
    await withProxy(() => secure, over, async (proxy) => {
        await up(proxy);
        assert.equal((await get(proxy)).json.from, 'left');
        const before = asked(secure[0]);
        assert.equal((await proxy.order('faults', { region: 'left', kind: 'dark', for_ms: 600_000 })).status, 200);
        let left = false;
        const [answers] = await Promise.all([load(proxy, () => left), proxy.untilActive('right').finally(() => (left = true))]);
        assert.deepEqual(answers.filter((one) => one.status >= 400).map((one) => one.text), []);
        assert.equal(asked(secure[0]), before);
        await heal(proxy);
        await until('left to be up again', () => isUp(proxy));
    })(t);
});
