// A real Prometheus scrapes a proxy, with the rules that are shipped: a region dies, and what it says is what happened.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { calm } from '../support/calm.mjs';
import { Child } from '../support/child.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { Proxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch, until } from '../support/wait.mjs';

const RULES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'conf', 'prometheus', 'alerts.yml');
// Scrapes come once a second, and the machine may be busy.
const PATIENT = { limit_ms: 120_000, every_ms: 250 };

class Prometheus {
    static async start(targets) {
        const folder = scratch('prometheus');
        const config = join(folder, 'prometheus.json');
        // JSON is YAML.
        writeFileSync(config, JSON.stringify({
            global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
            rule_files: [RULES],
            scrape_configs: [{ job_name: 'davenport', static_configs: [{ targets }] }],
        }));
        const self = new Prometheus();
        self.child = new Child('prometheus', [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`, '--web.listen-address=127.0.0.1:0'], {
            cwd: folder,
            env: process.env,
            output: join(folder, 'output.txt'),
        });
        const address = await until('Prometheus to say where it listens', () => {
            assert.ok(!self.child.result?.error, `prometheus does not start (scripts/setup test): ${self.child.result?.error}`);
            return /msg="Listening on" address=(\S+)/.exec(self.child.text())?.[1];
        }, PATIENT);
        self.origin = `http://${address}`;
        return self;
    }

    async ask(path, parameters = {}) {
        const got = await request(`${this.origin}/api/v1/${path}?${new URLSearchParams(parameters)}`);
        assert.equal(got.status, 200, `${path}: ${got.text}`);
        return got.json.data;
    }

    // [{metric, value}], now.
    async query(expr) {
        const { result } = await this.ask('query', { query: expr });
        return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    }

    // Until it gives one row, of which `check` holds.
    one(expr, check) {
        return until(`${expr} to be so`, async () => {
            const rows = await this.query(expr);
            return rows.length === 1 && check(rows[0].value) && rows[0];
        }, PATIENT);
    }

    alert(name, states) {
        return until(`${name} to be ${states}`, async () => {
            const { alerts } = await this.ask('alerts');
            return alerts.find(({ labels, state }) => labels.alertname === name && states.includes(state));
        }, PATIENT);
    }
}

let left;
let right;
let proxy;
let prometheus;

before(async () => {
    [left, right] = await Promise.all([ScriptedRegion.start('left'), ScriptedRegion.start('right')]);
    [left, right].forEach((region) => region.on(/^GET \/db/, [answer(200, { from: region.name })]));
    proxy = await Proxy.start([left, right], calm({ failback: { mode: 'manual' } }));
    await until('both regions to be up', async () => (await proxy.status()).regions.every(({ health }) => health === 'up'));
    prometheus = await Prometheus.start([new URL(proxy.admin).host]);
});
after(async () => {
    await prometheus?.child.kill();
    await proxy?.stop();
    await Promise.all([left, right].map((region) => region?.close()));
});

test('it scrapes the proxy, without an error and without a warning', async () => {
    await until('the target to be up', async () => {
        const { activeTargets } = await prometheus.ask('targets');
        assert.equal(activeTargets.length, 1);
        return activeTargets[0].health === 'up' && activeTargets[0].lastError === '';
    }, PATIENT);
    await prometheus.one('davenport_regions_serving', (n) => n === 2);
    await prometheus.one('davenport_region_active{region="left"}', (n) => n === 1);
    // What the exposition says of types and help arrives as such.
    const metadata = await prometheus.ask('metadata', { metric: 'davenport_request_added_seconds' });
    assert.equal(metadata.davenport_request_added_seconds[0].type, 'histogram');
    const { groups } = await prometheus.ask('rules');
    const bad = groups.flatMap(({ rules }) => rules).filter(({ health, lastError }) => health === 'err' || lastError);
    assert.deepEqual(bad, []);
    assert.ok(groups.flatMap(({ rules }) => rules).length > 40);
});

test('a region dies: series, and alerts, say so', async () => {
    for (let i = 0; i < 20; i += 1) {
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
    }
    // On a machine that is very busy an answer may be late.
    await prometheus.one('sum(davenport_region_attempts_total{class="read", outcome=~"answered|answered_late"})', (n) => n >= 20);
    await left.kill();
    await proxy.untilActive('right');
    assert.equal((await request(`${proxy.origin}/db/a`)).json.from, 'right');
    await prometheus.one('davenport_region_active{region="right"}', (n) => n === 1);
    await prometheus.one('davenport_region_state{region="left", state="down"}', (n) => n === 1);
    await prometheus.one('sum(davenport_moves_total{move="failover"})', (n) => n === 1);
    await prometheus.one('sum(davenport_region_attempts_total{region="right", outcome=~"answered|answered_late"})', (n) => n >= 1);
    await prometheus.one('davenport_request_added_seconds_count', (n) => n === 21);
    await prometheus.one('sum(davenport_request_duration_seconds_count{kind="read"})', (n) => n === 21);
    const over = await prometheus.alert('DavenportFailedOver', ['firing']);
    assert.equal(over.labels.severity, 'warning');
    assert.equal(over.annotations.runbook_url, 'docs/runbook.md#davenportfailedover');
    assert.equal(over.annotations.summary, `${new URL(proxy.admin).host} moved its traffic away from a region that failed.`);
    // This one waits for a minute before it fires.
    const down = await prometheus.alert('DavenportRegionDown', ['pending', 'firing']);
    assert.equal(down.labels.region, 'left');
});

test('the proxy ends: Prometheus sees that, and the alert begins', async () => {
    const { admin } = proxy;
    await proxy.stop();
    proxy = undefined;
    await prometheus.one(`up{instance="${new URL(admin).host}"}`, (n) => n === 0);
    await prometheus.alert('DavenportUnreachable', ['pending', 'firing']);
});
