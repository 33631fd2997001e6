// Real faults of a real network, between the proxy and its active region, under 100 requests/s: no request that may be repeated
// fails, and what moved the traffic is in the journal. Regions live in network namespaces of the test's own; packets are
// dropped by nftables there. Times are told, never asserted.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seed } from '../support/load.mjs';
import { Names } from '../support/names.mjs';
import { Network, whyNot } from '../support/netns.mjs';
import { OpenLoad } from '../support/open_load.mjs';
import { merge, withProxy } from '../support/proxy.mjs';
import { createDatabase, everywhere, PouchRegion } from '../support/region.mjs';
import { Relay } from '../support/relay.mjs';
import { LIMIT_MS, scratch, until } from '../support/wait.mjs';

const RATE = Number(process.env.DAVENPORT_E2E_RATE ?? 100);
const skip = whyNot() ?? false;

let network;
let regions;
let db;
let known;
let own;
let relay;

before(async () => {
    if (skip) {
        return;
    }
    const names = ['left', 'right'];
    network = new Network(names);
    regions = await Promise.all(names.map((name, i) => PouchRegion.start(name, scratch(name), network.nodes[i])));
    db = await createDatabase(regions, { replicated: true });
    const ids = await seed(`${regions[0].direct}/${db}`, 150, (all) => everywhere(regions, db, all));
    known = ids.slice(0, 50);
    own = ids.slice(50);
    relay = await Relay.start({ host: network.nodes[0].host, port: network.nodes[0].port });
});

after(async () => {
    await relay?.kill();
    await Promise.all((regions ?? []).map((region) => region.close()));
    network?.remove();
});

// Each move has a reason, and behind it lines with what was seen and the threshold.
async function explained(proxy, t) {
    const lines = await proxy.events();
    const moves = lines.filter((line) => /^(failover|failback|lost|regained|fail_open)$/.test(line.event));
    for (const move of moves) {
        assert.ok(move.reason, JSON.stringify(move));
        assert.ok(Number.isInteger(move.epoch), JSON.stringify(move));
        const cause = lines.filter((line) => line.inputs?.signal && line.epoch <= move.epoch && [move.before, move.after].includes(line.region));
        assert.ok(cause.some((line) => line.inputs.count >= line.inputs.threshold), `no evidence for ${JSON.stringify(move)} in ${JSON.stringify(cause)}`);
        t.diagnostic(`${move.event} ${move.before ?? 'none'} -> ${move.after ?? 'none'}: ${move.reason}`);
    }
    return moves;
}

const AT_REST = {
    probe: { interval_ms: 1_000, fast_interval_ms: 500, timeout_ms: 1_800, fall: 3 },
    failback: { hold_down_ms: 600_000 },
};

// A proxy at its default thresholds in front of `left` (as told by origin) and `right`; the load runs before, while and after
// `fault` lasts. leaves: the traffic must go, and the fault lasts until it has and 2 s longer; else it lasts 6 s' worth of requests.
function under(fault, { heal, leaves = true, over = {}, env = {}, origins = null, tolerate = () => false }) {
    const fronts = () => regions.map((region, i) => ({ name: region.name, probePath: '/', origin: origins?.()[i] ?? region.origin }));
    return withProxy(
        fronts,
        merge(AT_REST, over),
        async (proxy, t) => {
            const load = new OpenLoad(`${proxy.origin}/${db}`, { known, own, rate: RATE });
            try {
                await load.done(2 * RATE); // the region's pace
                await proxy.untilActive('left');
                const began = Date.now();
                await fault();
                if (leaves) {
                    await proxy.untilActive('right');
                    t.diagnostic(`left after ${Date.now() - began} ms`);
                    await load.done(2 * RATE);
                } else {
                    await load.done(6 * RATE, began);
                }
                await heal();
                await load.done(RATE);
            } finally {
                try {
                    await heal();
                } finally {
                    await load.stop();
                }
            }
            t.diagnostic(load.summary());
            const moves = await explained(proxy, t);
            if (leaves) {
                assert.deepEqual([moves[0]?.event, moves[0]?.before, moves[0]?.after], ['failover', 'left', 'right']);
            }
            assert.deepEqual(load.failed.filter((one) => !tolerate(one)), []);
            assert.deepEqual(load.posts.filter((one) => !/outcome_unknown/.test(one.error) && !tolerate(one)), []);
            return { load, moves };
        },
        env,
    );
}

const left = () => network.nodes[0];
const healed = () => left().heal();
const drop = (into, out) => async () => left().filter(into, out);

test('a black hole: packets are dropped, nothing is refused', { skip }, (t) => under(drop('drop', 'drop'), { heal: healed })(t));

test('only the way there is cut', { skip }, (t) => under(drop('drop', ''), { heal: healed })(t));

test('only the way back is cut', { skip }, (t) => under(drop('', 'drop'), { heal: healed })(t));

test('every connection is reset', { skip }, (t) => under(drop('meta l4proto tcp reject with tcp reset', ''), { heal: healed })(t));

test('three packets of ten are lost, each way', { skip }, (t) =>
    under(drop('numgen random mod 100 < 30 drop'), { heal: healed, leaves: false })(t));

test('the server is stopped (SIGSTOP)', { skip }, (t) =>
    under(async () => regions[0].freeze(), { heal: async () => regions[0].thaw() })(t));

test('its line is narrow: answers trickle', { skip }, (t) => under(async () => left().narrow('64kbit'), { heal: healed, leaves: false })(t));

const relayed = { origins: () => [`http://127.0.0.1:${relay.port}`] };
const through = (field, value, usual) => [
    async () => {
        relay[field] = value;
    },
    async () => {
        relay[field] = usual;
    },
];

// 800 ms more can be told from what was usual only where that was known to be much less: the fault begins when the proxy's own
// baseline says so. A machine that has bad moments while the fault lasts makes it the new normal, as it should ("when peers are as
// slow"): then once more. A proxy that never leaves such a region fails in every round.
test('answers come 800 ms later than they did: the region is left', { skip }, async (t) => {
    const QUICK_MS = 100; // four times that is less than what +800 ms looks like, at the coarseness of its histogram
    const usual = async (proxy) => (await proxy.region('left')).usual_ms;
    await withProxy(
        () => [{ name: 'left', probePath: '/', origin: `http://127.0.0.1:${relay.port}` }, regions[1]],
        AT_REST,
        async (proxy) => {
            const load = new OpenLoad(`${proxy.origin}/${db}`, { known, own, rate: RATE });
            let took;
            try {
                for (let round = 0; round < 4 && took === undefined; round += 1) {
                    await until('a baseline', async () => {
                        const ms = await usual(proxy);
                        return ms > 0 && ms <= QUICK_MS;
                    });
                    await load.done(6 * RATE); // enough that one odd look does not turn it
                    const began = Date.now();
                    relay.delay_ms = 800;
                    while ((await proxy.active()) === 'left' && (await usual(proxy)) <= QUICK_MS) {
                        assert.ok(Date.now() - began < LIMIT_MS, 'left answers late, its baseline is quick, and it keeps the traffic');
                        await load.done(RATE / 10, Date.now());
                    }
                    took = (await proxy.active()) === 'right' ? Date.now() - began : undefined;
                    await load.done(2 * RATE);
                    relay.delay_ms = 0;
                    await load.done(RATE);
                }
            } finally {
                relay.delay_ms = 0;
                await load.stop();
            }
            t.diagnostic(load.summary());
            t.diagnostic(`left after ${took} ms`);
            const moves = await explained(proxy, t);
            assert.deepEqual([moves[0]?.event, moves[0]?.before, moves[0]?.after], ['failover', 'left', 'right']);
            assert.match(moves[0].reason, /slow/);
            assert.deepEqual(load.failed, []);
            assert.deepEqual(load.posts.filter((one) => !/outcome_unknown/.test(one.error)), []);
        },
    )(t);
});

test('answers are cut short within their head', { skip }, (t) => {
    const [fault, heal] = through('cut_bytes', 40, Infinity);
    return under(fault, { heal, ...relayed })(t);
});

// Documents and small lists are passed on when they are whole, so nobody sees a part of one; a POST that writes has one attempt only.
test('answers are cut short within their body: no read fails, and the region is left', { skip }, (t) => {
    const [fault, heal] = through('cut_bytes', 250, Infinity);
    return under(fault, { heal, ...relayed, tolerate: (one) => one.op === 'post' && one.status === undefined && /ECONNRESET|aborted|hang up/.test(one.error) })(t);
});

// A POST that the server had taken may wait for as long as an answer may take: nothing tells that none will come. That must be
// less than this client's own patience.
test('connections are half open: the server forgot them, and nobody was told', { skip }, (t) =>
    under(
        async () => {
            left().filter('', 'tcp flags & (fin | rst) != 0 drop');
            await regions[0].kill();
            await regions[0].revive();
            left().heal();
        },
        { heal: healed, leaves: false, over: { timeouts: { answer_ms: 10_000 } } },
    )(t));

const names = new Names();
test('names do not resolve any more', { skip }, (t) => {
    const all = () => Object.fromEntries(regions.map((region, i) => [`${region.name}.example`, [network.nodes[i].host]]));
    const none = () => Object.fromEntries(regions.map((region) => [`${region.name}.example`, null]));
    names.set(all());
    return under(async () => names.set(none()), {
        heal: async () => names.set(all()),
        leaves: false,
        over: { dns: { refresh_ms: 100 } },
        env: names.env,
        origins: () => regions.map((region) => `http://${region.name}.example:5984`),
    })(t);
});
