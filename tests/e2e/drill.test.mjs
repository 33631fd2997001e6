// davenport drill: passes, misses, aborts, is interrupted, dies; and whatever it broke is whole again.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { CouchRegion } from '../support/couch_region.mjs';
import { Drill } from '../support/drill.mjs';
import { couch, request } from '../support/http.mjs';
import { FaultRelay } from '../support/fault_relay.mjs';
import { Hooks } from '../support/hooks.mjs';
import { HASTE, merge, Proxy } from '../support/proxy.mjs';
import { until } from '../support/wait.mjs';

let regions, hooks, proxy;

before(async () => {
    regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    hooks = await Hooks.start(regions);
    proxy = await Proxy.start(regions, calm({ failback: { hold_down_ms: 500 }, drills: { allowed: true } }));
});
after(async () => {
    await proxy?.stop();
    await hooks.close();
    await Promise.all(regions.map((region) => region.close()));
});

const STOP_LEFT = { at_s: 1, do: 'stop', region: 'left', for_s: 2 };
// What is dark is found out by the time that answers take.
const NOTICED = merge(HASTE, { failback: { hold_down_ms: 500 } });

// A plan that any machine can keep: no time in it is an objective unless the test says so.
const planOf = (over) =>
    merge(
        {
            name: 'Region kill',
            proxy: { url: proxy.origin, admin: proxy.admin.slice('http://'.length) },
            regions: regions.map((region) => ({ name: region.name, url: region.direct, ...hooks.of(region.name) })),
            load: { rate: 60, seconds: 5, connections: 16, documents: 40, timeout_ms: 60_000, mix: { get: 60, put: 25, post: 5, bulk: 5 } },
            steps: [STOP_LEFT],
            objectives: { failed: 0, lost: 0, duplicated: 0, conflicted: 0, missed: 0 },
        },
        over,
    );

const calls = (name) => hooks.calls.filter((call) => call.endsWith(name)).map((call) => call.split(' ')[0]);

// Of a drill that died: replications are gone everywhere, its database where it was its own.
function assertTidy(kept = []) {
    assert.deepEqual(regions.map((region) => [...region.jobs.keys()].filter((id) => id.startsWith('drill-'))), [[], []]);
    assert.deepEqual(regions.filter((region) => region.databases.has('drill')), kept);
}

// Every drill begins with both regions well, and the traffic in left.
async function fresh(through = proxy) {
    await Promise.all(regions.map((region) => region.revive()));
    regions.forEach((region) => region.databases.delete('drill')); // of a drill that could not clean up
    hooks.failing.clear();
    hooks.calls.length = 0;
    // Not left to itself: what requests proved, only requests clear.
    await until('both regions to be well', async () => {
        await request(`${through.origin}/drill/none`);
        return (await through.status()).regions.every(({ health }) => health === 'up');
    });
    await until('the traffic to be in left', async () => (await through.order('switch', { region: 'left', ttl_s: 1 })).status === 200);
    await through.untilActive('left');
}

// The traffic went from left to right while the fault stood.
function leftIsLost({ timeline, decisions }) {
    const fault = timeline.find((one) => one.what === 'fault');
    return decisions.some((one) => one.event === 'failover' && one.from === 'left' && one.to === 'right' && one.at_s < fault.until_s);
}

// The times of a plan are real: a machine that stops for a while may bring a fault and its end together. So it is run again with a fault
// that lasts longer, until `met` says of the result that there was what it is about, and none failed to be heard: while it stands, so do
// the regions, which are this process. The last time it must have passed. No machine takes a write away or makes two of it.
async function passed(planFor, met, through = proxy) {
    for (const for_s of [2, 6, 30]) {
        await fresh(through);
        const drill = new Drill(planFor(for_s)).start();
        const { code } = await drill.ended();
        assert.doesNotMatch(`${['lost', 'duplicated', 'conflicted'].map((name) => drill.objective(name).measured)}`, /[1-9]/, drill.said);
        if ((code === 0 && met(drill.result)) || for_s === 30) {
            return drill.end(0);
        }
    }
}

test('a region is killed and comes back: passed', async () => {
    const drill = await passed(
        (for_s) => planOf({ load: { seconds: 3 + for_s }, steps: [{ ...STOP_LEFT, for_s }], objectives: { reroute_ms: 60_000, outage_ms: 60_000 } }),
        // and an answer came from elsewhere
        (result) => leftIsLost(result) && result.objectives.find((one) => one.name === 'reroute_ms').measured !== 'not measured',
    );
    assert.deepEqual(calls('left'), ['stop', 'start']);
    const { result } = drill;
    assert.equal(result.verdict, 'passed');
    assert.equal(result.aborted, null);
    assert.equal(result.requests, 60 * JSON.parse(readFileSync(drill.plan, 'utf8')).load.seconds);
    assert.ok(result.objectives.length >= 8 && result.objectives.every((one) => one.ok), JSON.stringify(result.objectives));
    const stop = result.timeline.find((one) => one.name === 'stop left');
    assert.ok(stop.what === 'fault' && stop.region === 'left' && stop.at_s >= 1 && stop.until_s > stop.at_s, JSON.stringify(stop));
    const moved = result.decisions.find((one) => one.event === 'failover');
    assert.deepEqual([moved.from, moved.to], ['left', 'right']);
    assert.ok(moved.at_s >= 1 && moved.at_s < stop.until_s, `${moved.at_s}`);
    assert.ok(result.series.regions.left.some((n) => n > 0) && result.series.regions.right.some((n) => n > 0));
    const { checker } = result;
    assert.ok(checker.acknowledged > 100);
    assert.deepEqual(checker.regions.map((one) => [one.name, one.present, one.lost]), ['left', 'right'].map((name) => [name, checker.acknowledged, 0]));
    assert.equal(result.environment.proxy.version, '0.1.0');
    assert.match(readFileSync(join(drill.folder, 'out', 'report.html'), 'utf8'), /^<!doctype html>/i);
    assert.match(drill.said, /Region kill: PASSED/);
    await Promise.all(regions.map(async (region) => assert.equal(region.databases.has('drill'), false, 'the database was its own')));
});

test('an objective that cannot be kept is missed, and says what was measured', async () => {
    await fresh();
    const drill = await new Drill(planOf({ load: { seconds: 2 }, steps: [], objectives: { max_ms: 0 } }), ['--json']).run(1);
    assert.equal(drill.result.verdict, 'missed');
    const slowest = drill.objective('max_ms');
    assert.equal(slowest.ok, false);
    assert.match(slowest.measured, /^[\d.]+ ms$/);
    assert.ok(drill.said.includes('"verdict": "missed"'));
});

test('a limit that is crossed ends the drill, and both regions are started again', async () => {
    await fresh();
    const hasty = await Proxy.start(regions, calm({ hold: { ms: 0 } }));
    const drill = await new Drill(
        planOf({
            proxy: { url: hasty.origin, admin: hasty.admin.slice('http://'.length) },
            load: { seconds: 120 },
            steps: ['left', 'right'].map((region) => ({ at_s: 1, do: 'stop', region })),
            abort: { failed_percent: 50, window_s: 2 },
        }),
    ).run(6);
    assert.deepEqual([calls('left'), calls('right')], [['stop', 'start'], ['stop', 'start']]);
    assert.equal(drill.result.verdict, 'aborted');
    assert.match(drill.result.aborted.why, /% of the requests of \d s failed \(limit 50 %\)/);
    assert.ok(drill.result.timeline.some((one) => one.what === 'abort'));
    assert.ok(drill.result.seconds < 110);
    assert.equal(drill.objective('lost').measured, '0', 'the writes are looked up all the same');
    await hasty.stop();
});

test('Ctrl-C: what was broken is undone first', async () => {
    await fresh();
    const drill = new Drill(planOf({ load: { seconds: 120 }, steps: [{ at_s: 0.5, do: 'stop', region: 'left' }] })).start();
    await until('left to be stopped', () => hooks.count('stop left') === 1);
    drill.child.signal('SIGINT');
    await drill.end(130);
    assert.deepEqual(calls('left'), ['stop', 'start']);
    assert.equal(drill.result.verdict, 'aborted');
    assert.equal(drill.result.checker, null);
});

test('Ctrl-C while the database is prepared', async () => {
    await fresh();
    regions[1].freeze();
    const drill = new Drill(planOf({})).start();
    await drill.says(/preparing the database/);
    await until('the database in left', () => regions[0].databases.has('drill'));
    drill.child.signal('SIGINT');
    await drill.says(/interrupted/);
    regions[1].thaw();
    await drill.end(130);
    assert.equal(drill.result.requests, null);
    assert.equal(regions[0].databases.has('drill'), false, 'the database was its own');
});

test('Ctrl-C twice: it ends at once, and its guard undoes the rest', async () => {
    await fresh();
    const drill = new Drill(planOf({ load: { seconds: 120 }, steps: [{ at_s: 0.5, do: 'freeze', region: 'left' }, { at_s: 0.6, do: 'stop', region: 'right' }] }));
    hooks.failing.add('start right'); // so the first Ctrl-C can't end it
    drill.start();
    await drill.says(/stop right/);
    drill.child.signal('SIGINT');
    await drill.says(/not undone yet/);
    drill.child.signal('SIGINT');
    await drill.end(130);
    hooks.failing.clear();
    await drill.guarded();
    assert.ok(regions.every((region) => region.alive));
    assertTidy();
});

test('killed with SIGKILL: its guard starts the region again, and tidies up', async () => {
    await fresh();
    const drill = new Drill(planOf({ load: { seconds: 120 }, steps: [{ at_s: 0.5, do: 'stop', region: 'left' }] })).start();
    // Said before it is done: a drill that is killed in between has its guard start what never stopped.
    await until('left to be stopped', () => hooks.count('stop left') === 1);
    drill.child.signal('SIGKILL');
    await drill.child.wait();
    await drill.guarded();
    assert.ok(regions[0].alive);
    assert.deepEqual(calls('left'), ['stop', 'start']);
    assertTidy();
});

test('killed: a database that was there before is kept, and the folder holds no older result', async () => {
    await fresh();
    await couch(`${regions[1].direct}/drill`, { method: 'PUT' });
    const drill = new Drill(planOf({ load: { seconds: 120 }, steps: [] }));
    const out = join(drill.folder, 'out');
    mkdirSync(out);
    ['result.json', 'report.html', 'hooks.log'].forEach((name) => writeFileSync(join(out, name), 'of an earlier drill'));
    drill.start();
    await drill.says(/loading/);
    drill.child.signal('SIGKILL');
    await drill.child.wait();
    await drill.guarded();
    assertTidy([regions[1]]);
    assert.deepEqual(readdirSync(out), ['hooks.log']);
    assert.equal(readFileSync(join(out, 'hooks.log'), 'utf8'), '');
    regions[1].databases.delete('drill');
});

test('what cannot be undone is said, and has an exit code of its own', async () => {
    await fresh();
    hooks.failing.add('start left');
    const drill = await new Drill(planOf({ converge_s: 1, load: { seconds: 60 }, steps: [{ ...STOP_LEFT, for_s: 0.5 }] })).run(8);
    assert.equal(drill.result.verdict, 'failed');
    assert.match(drill.result.aborted.why, /stop left could not be undone: the undo of stop left: exit status 22/);
    assert.ok(drill.result.timeline.some((one) => one.what === 'heal' && /NOT undone/.test(one.detail)));
    assert.equal(hooks.count('start left'), 5);
    assert.equal(drill.result.checker, null);
});

test('a command that fails ends the drill, and is undone too', async () => {
    await fresh();
    hooks.failing.add('stop left');
    const drill = await new Drill(planOf({ load: { seconds: 60 } })).run(7);
    assert.match(drill.result.aborted.why, /stop left: the command of stop left: exit status 22/);
    assert.equal(hooks.count('start left'), 1);
    assert.equal(drill.result.verdict, 'failed');
});

test('what a command holds is told to nobody', async () => {
    await fresh();
    process.env.DRILL_TEST_SECRET = 'hush-hush';
    const step = { at_s: 0.2, do: 'run', name: 'a call', run: 'test -z "${env:DRILL_TEST_SECRET}"', undo: 'test "${env:DRILL_TEST_SECRET}"' };
    const drill = await new Drill(planOf({ load: { seconds: 60 }, steps: [step] })).run(7);
    assert.match(drill.result.aborted.why, /a call: the command of a call: exit status 1/);
    const files = ['result.json', 'report.html', 'hooks.log'].map((name) => readFileSync(join(drill.folder, 'out', name), 'utf8'));
    assert.ok([drill.said, ...files].every((text) => !text.includes('hush-hush')));
    assert.ok(files[0].includes('DRILL_TEST_SECRET'), 'the plan as it was read');
});

test('a planned switch, and a drain: orders of an operator, taken back', async () => {
    const drill = await passed(
        (for_s) =>
            planOf({
                load: { seconds: 2 + 3 * for_s },
                steps: [
                    { at_s: 0.5, do: 'switch', region: 'right', for_s: for_s / 2 },
                    { at_s: 0.5 + for_s, do: 'drain', region: 'left', for_s: for_s / 2 },
                ],
                objectives: { stale_after_return: 1_000_000 },
            }),
        ({ timeline }) => {
            const [switched, drained] = ['switch', 'drain'].map((what) => timeline.find((one) => one.name.startsWith(`${what} `)));
            return switched?.until_s <= drained?.at_s;
        },
    );
    assert.match(drill.objective('stale_after_return').measured, /^\d+$/, 'traffic came back');
    const events = drill.result.decisions.map((one) => one.event);
    assert.ok(events.includes('drain') && events.includes('resume'), events.join());
    const switches = drill.result.decisions.filter((one) => one.event === 'switch').map((one) => one.to);
    assert.deepEqual(switches, ['right', 'left'], 'there and back');
    assert.ok(!(await proxy.region('left')).drained);
});

test('the proxy plays a region dark, and then well again', async () => {
    const noticing = await Proxy.start(regions, merge(calm(NOTICED), { drills: { allowed: true } }));
    const over = { proxy: { url: noticing.origin, admin: noticing.admin.slice('http://'.length) } };
    const drill = await passed((for_s) => planOf({ ...over, load: { seconds: 3 + for_s }, steps: [{ at_s: 1, do: 'dark', region: 'left', for_s }] }), leftIsLost, noticing);
    assert.deepEqual(calls('left'), [], 'nobody touched the region itself');
    assert.ok(leftIsLost(drill.result), JSON.stringify(drill.result.decisions));
    assert.ok(['fault', 'heal'].every((event) => drill.result.decisions.some((one) => one.event === event)), JSON.stringify(drill.result.decisions));
    assert.deepEqual((await couch(`${noticing.admin}/faults`)).faults, []);
    await noticing.stop();
});

test('a relay swallows what goes to a region, and lets it pass again', async () => {
    const relay = await FaultRelay.start(regions[0].port);
    const relayed = await Proxy.start([{ name: 'left', origin: relay.origin, probePath: '/_up' }, regions[1]], calm(NOTICED));
    const drill = await passed((for_s) => {
        const plan = planOf({
            proxy: { url: relayed.origin, admin: relayed.admin.slice('http://'.length) },
            load: { seconds: 3 + for_s },
            steps: [{ at_s: 1, do: 'relay', region: 'left', fault: { kind: 'blackhole' }, for_s }],
        });
        plan.regions[0].relay = relay.admin.slice('http://'.length);
        return plan;
    }, leftIsLost, relayed);
    assert.ok(leftIsLost(drill.result), JSON.stringify(drill.result.decisions));
    assert.ok(drill.result.timeline.some((one) => one.name === 'blackhole left' && one.until_s > one.at_s));
    assert.deepEqual((await relay.state()).faults, []);
    await relayed.stop();
    await relay.stop();
});

test('a proxy that is no Davenport: no journal, commands only', async () => {
    await fresh();
    const plan = planOf({ load: { seconds: 2 }, steps: [{ at_s: 0.5, do: 'run', run: 'echo hello', name: 'a word' }] });
    plan.proxy = { url: regions[0].direct };
    plan.objectives.stale_after_return = 0;
    const drill = await new Drill(plan).run(1);
    assert.deepEqual(drill.result.objectives.filter((one) => !one.ok).map((one) => [one.name, one.measured]), [['stale_after_return', 'not measured']]);
    assert.deepEqual(drill.result.decisions, []);
    assert.equal(drill.result.environment.proxy.version, null);
    assert.equal(readFileSync(join(drill.folder, 'out', 'hooks.log'), 'utf8'), 'hello\n');
});

test('nobody answers', async () => {
    const drill = await new Drill(planOf({ proxy: { admin: '127.0.0.1:1' } })).run(7);
    assert.match(drill.result.aborted.why, /no proxy answers: 127\.0\.0\.1:1/);
    assert.deepEqual(hooks.calls.filter((call) => call.startsWith('stop')).length, 0);
});

test('a proxy whose configuration allows no drills', async () => {
    const strict = await Proxy.start(regions, calm());
    const over = { proxy: { url: strict.origin, admin: strict.admin.slice('http://'.length) } };
    const drill = await new Drill(planOf({ ...over, load: { seconds: 2 }, steps: [{ at_s: 0.1, do: 'slow', delay_ms: 100, region: 'left' }] })).run(7);
    assert.match(drill.result.aborted.why, /slow left: POST .*\/faults: 403 drills_not_allowed/);
    await strict.stop();
});

test('a bad plan: all problems at once', async () => {
    const drill = await new Drill(planOf({ load: { rate: 0 }, steps: [{ at_s: 1, do: 'dance' }], objectives: { lots: 1 } })).run(2);
    const lines = drill.said.trimEnd().split('\n');
    assert.deepEqual(
        lines.map((line) => line.replace(`${drill.plan}: `, '')),
        [
            'load.rate: must be 1 to 50000, not 0',
            'objectives.lots: unknown key; did you mean "lost"?',
            'steps[0].do: is none of what a step can do (davenport help plan)',
        ],
    );
    assert.equal(existsSync(join(drill.folder, 'out')), false);
});

test('what is not this machine is refused, unless somebody vouches for it', async () => {
    const plan = planOf({ load: { rate: 300, seconds: 1 }, steps: [] });
    plan.regions[1].url = 'http://couch.invalid:1';
    const refused = await new Drill(plan).run(4);
    assert.match(refused.said, /refused: couch\.invalid is not this machine; --i-own-this couch\.invalid/);
    const too_fast = await new Drill(plan, ['--i-own-this', 'other.invalid, couch.invalid']).run(4);
    assert.match(too_fast.said, /refused: load\.rate is 300, and 200 requests\/s are allowed/);
    const told = await new Drill(plan, ['--check']).run(0);
    assert.match(told.said, /Region kill: 300 requests\/s for 1 s on/);
});
