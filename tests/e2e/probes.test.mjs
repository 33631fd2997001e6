// Layered probes, what each of them may decide, and trials: what only requests saw, only requests clear.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { answer, error } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { pause, until } from '../support/wait.mjs';

const FIN = { fin: true };
let left;
let right;

// A database with documents that can be read and written.
function provision(region, db = 'orders') {
    const docs = new Map();
    const ids = new RegExp(`^(GET|PUT) /${db}/`);
    region.docs = docs;
    region.on(`GET /${db}`, [answer(200, { db_name: db })]);
    region.on(ids, ({ method, target, body }) => {
        const old = docs.get(target);
        if (method === 'GET') {
            return [old ? answer(200, old) : error(404, 'not_found', 'missing')];
        }
        const doc = JSON.parse(body);
        if ((old?._rev ?? undefined) !== doc._rev) {
            return [error(409, 'conflict', 'Document update conflict.')];
        }
        docs.set(target, { ...doc, _rev: `${parseInt(old?._rev ?? '0', 10) + 1}-a` });
        return [answer(201, { ok: true })];
    });
}

before(async () => {
    [left, right] = await Promise.all([ScriptedRegion.start('left'), ScriptedRegion.start('right')]);
});
beforeEach(async () => {
    for (const region of [left, right]) {
        if (!region.server) {
            await region.revive();
        }
        region.rules = [];
        region.requests = [];
        ['ledger', 'stock', 'orders'].forEach((db) => provision(region, db));
    }
});
after(() => Promise.all([left.close(), right.close()]));

const deep = { probe: { database: 'orders', canary_database: 'orders', deep_interval_ms: 200 }, hold: { ms: 0 } };
const proxied = (body, over = deep) =>
    withProxy(() => [left, right], over, async (proxy, t) => {
        await until('both regions to be up', async () => (await proxy.status()).regions.every((r) => r.health === 'up'));
        await body(proxy, t);
    });
const layers = async (proxy, name) => (await proxy.region(name)).layers;

test('every layer is asked and told', proxied(async (proxy) => {
    await until('both canaries', async () => {
        const both = [await layers(proxy, 'left'), await layers(proxy, 'right')];
        return both.every((l) => l.canary?.passed >= 2 && l.database?.passed >= 2 && l.up?.passed >= 2 && l.tcp?.passed >= 1);
    });
    const all = await layers(proxy, 'left');
    assert.deepEqual(Object.keys(all), ['tcp', 'up', 'database', 'canary']);
    assert.ok(Object.values(all).every((layer) => layer.result === 'ok' && layer.failed === 0), JSON.stringify(all));
    // one document a region, each its own, written again and again
    const [mine, theirs] = [[...left.docs.keys()], [...right.docs.keys()]];
    assert.equal(mine.length, 1);
    assert.match(mine[0], /^\/orders\/davenport-canary-.*-left$/);
    assert.match(theirs[0], /-right$/);
    assert.ok(parseInt(left.docs.get(mine[0])._rev, 10) >= 2);
    const metrics = await proxy.metrics();
    assert.match(metrics, /davenport_probe_results_total\{region="left",endpoint="[^"]+",layer="canary",result="ok"\} ([2-9]|\d\d)/);
    assert.match(proxy.cli('explain').stdout, /probe of canary: ok/);
}));

test('the same over TLS, and a certificate that is not to be trusted is told by its layer', async (t) => {
    const authority = new Authority();
    const good = authority.leaf('good', 'IP:127.0.0.1');
    const bad = new Authority('stranger').leaf('bad', 'IP:127.0.0.1');
    const secure = await Promise.all(['left', 'right'].map((name) => ScriptedRegion.start(name, { leaf: good })));
    const config = { ...deep, regions: secure.map(({ name, origin }) => ({ name, url: origin, tls: { ca_file: authority.file } })) };
    secure.forEach((region) => provision(region));
    try {
        await withProxy(secure, config, async (proxy) => {
            await until('every layer of both', async () => {
                const { regions } = await proxy.status();
                return regions.every((one) => ['tcp', 'tls', 'up', 'database', 'canary'].every((layer) => one.layers[layer]?.passed >= 1));
            });
            for (const one of (await proxy.status()).regions) {
                assert.deepEqual(Object.keys(one.layers), ['tcp', 'tls', 'up', 'database', 'canary']);
                assert.ok(Object.values(one.layers).every((layer) => layer.result === 'ok' && layer.failed === 0), JSON.stringify(one.layers));
            }
            const before = (await layers(proxy, 'left')).tcp;
            await secure[0].kill();
            secure[0].leaf = bad;
            await secure[0].revive();
            await proxy.untilActive('right');
            await until('the layer to say so', async () => (await layers(proxy, 'left')).tls.result === 'tls_fault');
            const { tcp, tls: handshake } = await layers(proxy, 'left');
            assert.equal(tcp.result, 'ok', 'it is there');
            assert.ok(tcp.passed >= before.passed && handshake.failed >= 1);
            assert.match(await proxy.metrics(), /davenport_region_tls_fault\{region="left"\} 1/);
            assert.match(await proxy.metrics(), /davenport_probe_results_total\{region="left",endpoint="[^"]+",layer="tls",result="failed"\} [1-9]/);
            await secure[0].kill();
            secure[0].leaf = good;
            await secure[0].revive();
            await until('it to be trusted again', async () => (await proxy.region('left')).health === 'up');
            assert.equal((await layers(proxy, 'left')).tls.result, 'ok');
        })(t);
    } finally {
        await Promise.all(secure.map((region) => region.close()));
    }
});

test('a region without its database is an alarm, and is used when nothing else is left', proxied(async (proxy) => {
    right.rules = [];
    await until('the alarm', async () => { // the canary may have met it first
        const { not_provisioned, layers: said } = await proxy.region('right');
        return not_provisioned && said.database.result === 'not_provisioned';
    });
    const status = await proxy.region('right');
    assert.equal(status.health, 'up');
    assert.equal(status.layers.database.result, 'not_provisioned');
    assert.equal(status.route, 'barred');
    assert.ok((await proxy.events()).some((line) => line.event === 'not_provisioned' && line.region === 'right'));
    assert.match(await proxy.metrics(), /davenport_region_not_provisioned\{region="right"\} 1/);
    // what fails in the active region does not become its 404
    left.on('GET /orders/a', [FIN], { times: 1 });
    assert.equal((await request(`${proxy.origin}/orders/a`)).status, 503);
    provision(right);
    await until('it to be provisioned', async () => !(await proxy.region('right')).not_provisioned);
    assert.ok((await proxy.events()).some((line) => line.event === 'provisioned' && line.region === 'right'));
}));

test('a layer that a reload takes out says nothing any more', proxied(async (proxy) => {
    right.rules = [];
    await until('the alarm', async () => (await proxy.region('right')).not_provisioned);
    const { database, canary_database, ...probe } = proxy.config.probe;
    assert.ok(database && canary_database);
    writeFileSync(proxy.configPath, JSON.stringify({ ...proxy.config, probe }));
    const done = proxy.cli('reload');
    assert.equal(done.status, 0, done.stderr);
    await until('it to be over', async () => !(await proxy.region('right')).not_provisioned);
    assert.deepEqual(Object.keys(await layers(proxy, 'right')), ['tcp', 'up']);
}));

test('of several databases each is asked, and told when it is not there', proxied(async (proxy) => {
    const asked = (region) => new Set(region.requests.filter((one) => one.method === 'GET' && /^\/[a-z]+$/.test(one.target)).map((one) => one.target));
    await until('all to be asked', () => [left, right].every((region) => asked(region).size === 3));
    await until('both to be provisioned', async () => {
        const { regions } = await proxy.status();
        return regions.every((one) => one.layers.database?.result === 'ok' && one.missing_databases.length === 0);
    });
    const gone = ['ledger', 'stock'].map((db) => right.on(`GET /${db}`, [error(404, 'not_found', 'Database does not exist.')]));
    await until('both to be told', async () => {
        const one = await proxy.region('right');
        return one.not_provisioned && one.missing_databases.join() === 'ledger,stock';
    });
    assert.equal((await proxy.region('right')).health, 'up');
    assert.match((await layers(proxy, 'right')).database.detail, /GET of the databases: 404, ledger, stock in /);
    const line = (await proxy.events()).find((one) => one.event === 'not_provisioned' && one.region === 'right');
    assert.match(line.reason, /ledger|stock/); // those of the round that met one first
    const row = (db, n) => `davenport_region_database_missing{region="right",database="${db}"} ${n}\n`;
    const metrics = await proxy.metrics();
    assert.ok(metrics.includes(row('orders', 0)) && metrics.includes(row('ledger', 1)) && metrics.includes(row('stock', 1)), metrics);
    assert.match(proxy.cli('explain').stdout, /not provisioned: ledger, stock: not there/);
    // one that fails condemns, whatever the others say
    gone.forEach((rule) => right.rules.splice(right.rules.indexOf(rule), 1));
    await until('all to be there again', async () => (await proxy.region('right')).missing_databases.length === 0);
    left.on('GET /stock', [error(500, 'timeout', 'The request could not be processed in a reasonable amount of time.')]);
    await proxy.untilActive('right');
    const down = (await proxy.events()).find((one) => one.event === 'region_down');
    assert.equal(down.inputs.layer, 'database');
    assert.match(down.inputs.probe_detail, /stock/);
}, { probe: { database: ['orders', 'ledger', 'stock'], deep_interval_ms: 200 }, hold: { ms: 0 } }));

test('a canary that another writes too is no fault; one that is not what was written is', proxied(async (proxy) => {
    const canary = /^(GET|PUT) \/orders\/davenport-canary-fleet-left$/;
    let generation = 1;
    let number = 0;
    let lose = false;
    left.on(canary, ({ method, body }) => {
        if (method === 'PUT') {
            generation += 1;
            number = JSON.parse(body).number;
            return [answer(201, { ok: true, id: 'x', rev: `${generation}-a` })];
        }
        return [answer(200, { _rev: `${generation}-a`, number: lose ? 1 : number })];
    });
    // one that was under way when the rule above came may have been written by the rule before it and read by this one
    const passed = async () => (await layers(proxy, 'left')).canary?.passed ?? 0;
    const old = await passed();
    await until('canaries', async () => (await passed()) >= old + 2);
    const before = (await layers(proxy, 'left')).canary.failed;
    // another proxy of this name, between our PUT and our GET
    const another = left.on(/^GET \/orders\/davenport-canary-fleet-left$/, [answer(200, { _rev: '900-b', number: 7 })]);
    await until('another to be seen', async () => /another wrote it/.test((await layers(proxy, 'left')).canary.detail));
    assert.equal((await layers(proxy, 'left')).canary.failed, before);
    left.rules.splice(left.rules.indexOf(another), 1);
    lose = true;
    await proxy.untilActive('right');
    assert.match((await proxy.events()).find((one) => one.event === 'region_down').inputs.probe_detail, /not what was written/);
}, { probe: { canary_database: 'orders', canary_name: 'fleet', deep_interval_ms: 200 }, hold: { ms: 0 } }));

test('refused keys are told with their layer, and the region stays up', proxied(async (proxy) => {
    left.on('GET /orders', [error(401, 'unauthorized', 'You are not authorized to access this db.')]);
    await until('the alarm', async () => (await proxy.events()).some((line) => line.event === 'credentials_refused'));
    const line = (await proxy.events()).find((one) => one.event === 'credentials_refused');
    assert.equal(line.layer, 'database');
    assert.equal((await proxy.region('left')).health, 'up');
    assert.equal(await proxy.active(), 'left');
}));

test('a database that can\'t be read condemns a region whose /_up is well', proxied(async (proxy) => {
    left.on('GET /orders', [error(500, 'timeout', 'The request could not be processed in a reasonable amount of time.')]);
    await proxy.untilActive('right');
    const down = (await proxy.events()).find((line) => line.event === 'region_down');
    assert.equal(down.inputs.signal, 'deep_probes_failed');
    assert.equal(down.inputs.layer, 'database');
    assert.equal((await layers(proxy, 'left')).up.result, 'ok');
    provision(left);
    await until('it to be trusted again', async () => (await proxy.region('left')).health === 'up');
}));

test('a canary that can\'t be written condemns too', proxied(async (proxy) => {
    left.on(/^PUT \/orders\/davenport-canary/, [error(503, 'service unavailable', 'Service unavailable')]);
    await proxy.untilActive('right');
    const down = (await proxy.events()).find((line) => line.event === 'region_down');
    assert.equal(down.inputs.layer, 'canary');
}));

test('probes that pass do not clear what requests saw; a few requests do, and none of them fails', proxied(
    async (proxy, t) => {
        left.docs.set('/orders/a', { _id: 'a', from: 'left' });
        right.docs.set('/orders/a', { _id: 'a', from: 'right' });
        const broken = left.on(/^GET \/orders\/a/, [FIN]);
        const statuses = new Map();
        let stop = false;
        const load = (async () => {
            while (!stop) {
                const { status } = await request(`${proxy.origin}/orders/a`);
                statuses.set(status, (statuses.get(status) ?? 0) + 1);
                await pause(10);
            }
        })();
        try {
            await proxy.untilActive('right');
            await until('a trial that failed', async () =>
                (await proxy.events()).some((line) => line.event === 'region_down' && line.inputs.signal === 'trial_failed'));
            assert.equal((await layers(proxy, 'left')).up.result, 'ok');
            left.rules.splice(left.rules.indexOf(broken), 1);
            await until('a trial that passed', async () =>
                (await proxy.events()).some((line) => line.event === 'region_up' && line.inputs.signal === 'trial_passed'));
        } finally {
            stop = true;
            await load;
        }
        t.diagnostic(`statuses: ${JSON.stringify([...statuses])}, trial requests: ${await proxy.metric('davenport_trial_requests_total')}`);
        assert.deepEqual([...statuses.keys()], [200]);
        // nothing but trials went there after the fall: of five requests each at most, and one may be under way
        const trials = (await proxy.events()).filter((line) => /^trial_(failed|passed)$/.test(line.inputs?.signal)).length;
        assert.ok((await proxy.metric('davenport_trial_requests_total')) <= 5 * (trials + 1), `${trials} trials`);
    },
    { hold: { ms: 0 }, traffic: { trial_requests: 5 } },
));
