// The CouchDB in memory answers as a real one did: whole sequences of recorded exchanges are played again, and each status
// and body is compared; sequence tokens by what they say of each shard, rows of _changes in any order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { decodeToken, encodeToken } from '../support/couch_token.mjs';
import { couch, request } from '../support/http.mjs';
import { fromExtract, fromRecordings } from '../support/recorded.mjs';
import { until } from '../support/wait.mjs';
import { Wire } from '../support/wire.mjs';

const TOKEN = /\d+-g1AAAA[\w-]+/g;
// It takes no attachments: where one was recorded, another change of that document stands in for it.
const ATTACHED = 'd3';

const extract = fromExtract();

test('the kept extract is what the recordings say', { skip: fromRecordings() === null && 'no recordings here' }, () => {
    assert.deepEqual(extract, fromRecordings());
});

// What a token says but for what is random: "first of the range: sequence, whether there is a uuid".
const meaning = (token) =>
    decodeToken(token)
        ?.map(({ range, seq, uuid }) => `${range[0]}:${seq}${uuid ? '' : ' no uuid'}`)
        .sort()
        .join(' ') ?? token;

// Random or of no interest: minted ids, times, sizes.
function comparable(name, text) {
    if (!/^[[{]/.test(text)) {
        return text;
    }
    const value = JSON.parse(text, (key, part) => {
        if (['instance_start_time', 'sizes', 'possible_ancestors'].includes(key)) {
            return undefined;
        }
        if (key === 'id' && /^[0-9a-f]{32}$/.test(part)) {
            return 'minted';
        }
        return ['last_seq', 'update_seq', 'purge_seq'].includes(key) ? meaning(part) : part;
    });
    if (Array.isArray(value.results) && value.last_seq) {
        for (const row of value.results) {
            assert.match(row.seq ?? '0-g1AAAA', /^\d+-g1AAAA/);
            delete row.seq;
            if (row.id === ATTACHED) {
                delete row.changes;
                delete row.doc;
            }
        }
        value.results.sort((a, b) => (a.id < b.id ? -1 : 1));
        if (/limit|descending/.test(name)) {
            value.results = value.results.length; // which ones depends on how two shards are merged
            delete value.last_seq;
        }
    }
    return value;
}

// A recorded token as this region would have written it: its own uuids, of the answer in which the original stood.
function translate(value, answer) {
    const mine = new Map();
    for (const token of answer.match(TOKEN) ?? []) {
        for (const shard of decodeToken(token)) {
            mine.set(shard.range[0], { ...mine.get(shard.range[0]), node: shard.node, ...(shard.uuid && { uuid: shard.uuid }) });
        }
    }
    const theirs = decodeToken(value);
    if (!theirs || mine.size === 0) {
        return value;
    }
    return encodeToken(
        theirs.map(({ range, seq, uuid }) => {
            const own = mine.get(range[0]);
            return { node: own.node, range, seq, uuid: uuid && own.uuid };
        }),
    );
}

const withoutNumber = (token) => token.slice(token.indexOf('-') + 1);

for (const [topic, exchanges] of Object.entries(extract)) {
    test(topic, async (t) => {
        const names = topic.includes('same-node-name') ? { nodes: ['couch@127.0.0.1'] } : {};
        const regions = { A: await CouchRegion.start('a', names), B: await CouchRegion.start('b', names) };
        Object.values(regions).forEach((region) => (region.stalled = true)); // they replicate when the test says so
        const known = new Map(); // tokens that answers gave, as recorded and as this region would have written them
        for (const exchange of exchanges) {
            let { target } = exchange;
            for (const [recorded, own] of known) {
                target = target.replaceAll(recorded, own);
            }
            const { origin } = regions[exchange.region];
            const text = exchange.text?.replaceAll(/\{([AB])\}/g, (_, name) => regions[name].port);
            if (exchange.name === 'att') {
                await couch(`${origin}/f/${ATTACHED}?${target.split('?')[1]}`, { method: 'PUT', json: {} });
                continue;
            }
            const answer = await request(`${origin}${target}`, {
                method: exchange.method,
                headers: exchange.headers,
                body: exchange.base64 ? Buffer.from(exchange.base64, 'base64') : text,
            });
            for (const token of exchange.body.match(TOKEN) ?? []) {
                known.set(withoutNumber(token), withoutNumber(translate(token, answer.text)));
            }
            const label = `${exchange.name}: ${exchange.method} ${exchange.target}`;
            assert.equal(answer.status, exchange.status, `${label}: ${answer.text}`);
            if (exchange.method !== 'HEAD' && !target.startsWith('/_replicator')) {
                assert.deepEqual(comparable(exchange.name, answer.text), comparable(exchange.name, exchange.body), label);
            }
            if (/^(repl|docs|more|resolve)/.test(exchange.name)) {
                await until('replication', () => {
                    const jobs = Object.values(regions).flatMap((region) => [...region.jobs.values()]);
                    jobs.forEach((job) => job.step());
                    return jobs.every((job) => job.idle);
                });
            }
        }
        t.diagnostic(`${exchanges.length} exchanges`);
        await Promise.all(Object.values(regions).map((region) => region.close()));
    });
}

// What CouchDB does to open feeds, which no plain answer shows.
test('feeds break as recorded: a second head, bytes behind the end', async () => {
    const region = await CouchRegion.start('a');
    await couch(`${region.origin}/g`, { method: 'PUT' });
    const feed = async (query) => {
        const wire = await Wire.connect(region.port);
        wire.send(`GET /g/_changes?${query} HTTP/1.1\r\nHost: h\r\n\r\n`);
        return wire;
    };

    const events = await feed('feed=eventsource&timeout=100');
    assert.equal((await events.response()).complete, true);
    await events.when('the bytes behind the end', () => events.bytes.length >= 11);
    assert.equal(events.bytes.toString(), '1\r\n\n\r\n0\r\n\r\n');
    events.destroy();

    const longpoll = await feed('feed=longpoll&since=now&heartbeat=50');
    assert.match((await longpoll.text(/results/)).input, /200 OK/);
    region.maintain('maintenance_mode');
    assert.match((await longpoll.text(/nodedown/)).input, /\r\nHTTP\/1\.1 412 Precondition Failed\r\n/);
    assert.equal((await request(`${region.origin}/_up`)).status, 404);
    assert.equal((await request(`${region.origin}/g/a`)).status, 500);
    longpoll.destroy();
    region.maintain(null);

    const continuous = await feed('feed=continuous&since=now&heartbeat=50');
    await continuous.text(/\r\n\n\r\n/);
    region.maintain('nolb');
    assert.equal((await continuous.response()).complete, true);
    continuous.destroy();
    await region.close();
});

test('five wrong passwords lock a user out at an address, the last that X-Forwarded-For names', async () => {
    const region = await CouchRegion.start('a', { users: { carl: 'carlpw' } });
    const login = async (password, from = '10.0.0.1') => {
        const authorization = `Basic ${Buffer.from(`carl:${password}`).toString('base64')}`;
        return (await request(`${region.origin}/_up`, { headers: { authorization, 'x-forwarded-for': `1.2.3.4, ${from}` } })).status;
    };
    assert.equal(await login('carlpw'), 200);
    for (let i = 0; i < 5; i += 1) {
        assert.equal(await login('wrong'), 401);
    }
    assert.deepEqual([await login('carlpw'), await login('wrong'), await login('carlpw', '10.0.0.2')], [403, 403, 200]);
    assert.equal((await request(`${region.origin}/_up`)).status, 200);
    await region.close();
});

test('a frozen region does what came when it thaws; a killed one still has what it had', async () => {
    const region = await CouchRegion.start('a');
    await couch(`${region.origin}/z`, { method: 'PUT' });
    region.freeze();
    const { came } = region;
    const wire = await Wire.connect(region.port);
    wire.send('PUT /z/late HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}');
    await until('it to have come', () => region.came > came);
    assert.equal(wire.bytes.length, 0);
    wire.destroy();
    assert.ok(!region.databases.get('z').docs.has('late'));
    region.thaw();
    await until('the write to be done', async () => (await request(`${region.origin}/z/late`)).status === 200);
    await region.kill();
    await assert.rejects(request(`${region.origin}/z/late`));
    await region.revive();
    assert.equal((await request(`${region.origin}/z/late`)).status, 200);
    await region.close();
});

// What can't be recorded here: Cloudant, and a cluster.
test('a throttled region says 429, one that wants a login for _up 401; a cluster has its nodes in its tokens', async () => {
    const nodes = ['n1@a', 'n2@a', 'n3@a'];
    const region = await CouchRegion.start('a', { upNeedsLogin: true, users: { bob: 'pw' }, nodes, shards: 8 });
    assert.equal((await request(`${region.origin}/_up`)).status, 401);
    assert.equal((await request(`${region.origin.replace('//', '//bob:pw@')}/_up`)).status, 200);
    await couch(`${region.origin}/db`, { method: 'PUT' });
    region.throttle(1);
    const refused = await request(`${region.origin}/db/_all_docs`);
    assert.deepEqual([refused.status, refused.json.error], [429, 'too_many_requests']);
    for (let i = 0; i < 40; i += 1) {
        await couch(`${region.origin}/db/d${i}`, { method: 'PUT', json: {} });
    }
    const { results } = await couch(`${region.origin}/db/_changes`);
    const shards = decodeToken(results[20].seq);
    assert.deepEqual([...new Set(shards.map((shard) => shard.node))], nodes);
    const rest = await couch(`${region.origin}/db/_changes?since=${results[20].seq}`);
    assert.deepEqual(rest.results.map((row) => row.id), results.slice(21).map((row) => row.id));
    await region.close();
});
