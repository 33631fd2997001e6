// The way back, and nowhere to go: a gate that waits for an approval, holds that double, regions whose probes lie.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

let regions;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach((region) => region.on(/^GET \/db/, [answer(200, { from: region.name })]));
});
after(() => Promise.all(regions.map((region) => region.close())));

const proxied = (body, over = {}) => withProxy(() => regions, over, body);
const up = (proxy) => until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));
const from = async (proxy) => (await request(`${proxy.origin}/db/a`)).json?.from;
const lineOf = async (proxy, event) => (await proxy.events()).findLast((one) => one.event === event);
const region = async (proxy, name) => (await proxy.status()).regions.find((one) => one.name === name);

async function fallAndReturn(proxy) {
    const fallen = async () => (await proxy.events()).filter((one) => one.event === 'region_down' && one.region === 'left').length;
    const before_ = await fallen();
    await regions[0].kill();
    await until('left to be down', async () => (await fallen()) > before_);
    await regions[0].revive();
    await until('left to be up', async () => (await region(proxy, 'left')).health === 'up');
}

test(
    'gated: traffic returns when an operator approves it, and the gate says what it waits for',
    proxied(
        async (proxy) => {
            await up(proxy);
            await fallAndReturn(proxy);
            await until('the gate to be told shut', async () => lineOf(proxy, 'gate_shut'));
            const status = await proxy.status();
            assert.deepEqual([status.active, status.failback, status.failback_to, status.failback_at], ['right', 'gated', 'left', null]);
            assert.deepEqual(
                status.regions[0].gate.map((one) => [one.name, one.state]),
                [['health', 'met'], ['probes', 'met'], ['errors', 'met'], ['approval', 'unmet']],
            );
            assert.match(proxy.cli('status').stdout, /Failback: to left when its gate opens\n {2}approval is unmet: no operator/);
            assert.match(proxy.cli('explain').stdout, /left takes the traffic back when its gate opens\n(.*\n)* +its gate: approval is unmet/);
            assert.match(await proxy.metrics(), /davenport_region_gate_met\{region="left",condition="approval"\} 0/);

            assert.equal(proxy.cli('approve', 'left', '--dry-run').status, 0);
            assert.equal((await region(proxy, 'left')).approved, null);
            const done = proxy.cli('approve', 'left', '--reason', 'data compared', '--ttl', '1h');
            assert.equal(done.status, 0, done.stderr);
            await proxy.untilActive('left');
            const line = await lineOf(proxy, 'failback');
            assert.deepEqual([line.before, line.after, line.hold_ms], ['right', 'left', 300]);
            assert.ok(line.gate.every((one) => one.state === 'met'));
            assert.match(await proxy.metrics(), /davenport_moves_total\{move="failback",reason="gated"\} 1/);
            await until('the approval to end, for it was for one return', async () => (await region(proxy, 'left')).approved === null);
            assert.match((await lineOf(proxy, 'approve')).reason, /data compared/);
        },
        { failback: { mode: 'gated', hold_down_ms: 300, ramp_ms: 0, conditions: 'probes,errors,approval' } },
    ),
);

test(
    'each fall doubles the hold, up to its cap',
    proxied(
        async (proxy) => {
            await up(proxy);
            const holds = [];
            for (let fall = 0; fall < 3; fall += 1) {
                await fallAndReturn(proxy);
                holds.push((await region(proxy, 'left')).hold_ms);
            }
            assert.deepEqual(holds, [600_000, 1_000_000, 1_000_000]);
            assert.match(proxy.cli('explain').stdout, /lost 3 times since it was last well for long: its hold is 16 min 40 s/);
        },
        { failback: { hold_down_ms: 600_000, hold_down_max_ms: 1_000_000 } },
    ),
);

test(
    'last_good: regions that fail their probes and serve are used on, a drained one never',
    proxied(
        async (proxy) => {
            await up(proxy);
            const broken = regions.map((one) => one.on(/_up/, [answer(503, { status: 'no' })]));
            await until('every region to be lost', async () => (await proxy.status()).fail_open);
            const status = await proxy.status();
            assert.ok(status.regions.every((one) => one.health === 'down'));
            const active = status.active;
            assert.equal(await from(proxy), active, 'and it answers');
            assert.match(proxy.cli('status').stdout, /Every region is lost: it is used all the same \(no_region\.policy last_good\)/);
            assert.match((await lineOf(proxy, 'fail_open')).reason, /no_region\.policy last_good/);

            const other = active === 'left' ? 'right' : 'left';
            assert.equal((await proxy.order('drain', { region: active })).status, 200);
            await until('the other one to answer', async () => (await from(proxy)) === other);
            assert.equal((await proxy.order('drain', { region: other })).status, 200);
            await until('nobody to answer', async () => (await request(`${proxy.origin}/db/a`)).json?.error === 'no_region_available');
            await proxy.order('resume', { region: active });
            broken.forEach((rule) => (rule.left = 0));
            await until('who was resumed to answer', async () => (await from(proxy)) === active);
            await until('the probes to find it', async () => (await proxy.status()).fail_open === false);
            assert.equal((await lineOf(proxy, 'regained')).after, active);
        },
        { no_region: { policy: 'last_good' } },
    ),
);
