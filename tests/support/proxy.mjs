// Davenport itself, as a test runs it: own configuration, own ports, own folder, and a check at its end that
// it left in good order and that no sanitizer had anything to say.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from './child.mjs';
import { couch, request } from './http.mjs';
import { scratch, until } from './wait.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const BINARY = process.env.DAVENPORT_BIN ?? join(ROOT, 'build', 'dev', 'davenport');

export const SANITIZER_REPORT = /==\d+==ERROR: |WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed/;

// Deep merge; arrays and plain values replace.
export function merge(base, over) {
    if (over === null || typeof over !== 'object' || Array.isArray(over) || base === null || typeof base !== 'object') {
        return over === undefined ? base : over;
    }
    const out = { ...base };
    for (const [key, value] of Object.entries(over)) {
        out[key] = merge(base[key], value);
    }
    return out;
}

// The product's own times, for tests of what is silent or slow.
export const HASTE = {
    probe: { timeout_ms: 1_800, silent: 12 },
    traffic: { late_ms: 1_000, slow_ms: 250 },
    timeouts: { try_ms: 5_000 },
};

// A configuration for tests: quick probes, short hold-down, one worker. Nothing is proved by taking long: a machine that stops a
// region's process for seconds is no region that fell, for whatever test that is. Who refuses or breaks is found out all the same.
export function configuration(regions, over = {}) {
    return merge(
        {
            listen: { address: '127.0.0.1', port: 0 },
            admin: { listen: '127.0.0.1:0' },
            workers: 1,
            regions: regions.map((region) => ({ name: region.name, url: region.origin })),
            probe: {
                path: regions[0]?.probePath ?? '/',
                interval_ms: 500,
                fast_interval_ms: 100,
                timeout_ms: 20_000,
                deep_timeout_ms: 20_000,
                silent: 0,
                fall: 2,
                rise: 2,
            },
            traffic: { late_ms: 0, slow_ms: 0 },
            timeouts: { try_ms: 0 },
            failback: { mode: 'hold_down', hold_down_ms: 3_000 },
            safety: { dwell_ms: 0 },
        },
        over,
    );
}

export class Proxy {
    // env: more of the environment than the test's own.
    static async start(regions, over = {}, env = {}) {
        const proxy = new Proxy(configuration(regions, over));
        proxy.env = env;
        await proxy.run();
        return proxy;
    }

    constructor(config) {
        this.binary = BINARY;
        this.folder = scratch('proxy');
        this.journal = join(this.folder, 'journal.jsonl');
        this.config = merge({ journal: { path: this.journal } }, config);
        this.configPath = join(this.folder, 'davenport.json');
        this.portFile = join(this.folder, 'ports.json');
        writeFileSync(this.configPath, JSON.stringify(this.config, null, 2));
    }

    async run() {
        this.child = new Child(this.binary, ['serve', '-c', this.configPath, '--port-file', this.portFile], {
            cwd: this.folder,
            env: { ...process.env, ...this.env },
            output: join(this.folder, 'output.txt'),
        });
        const ports = await until('the proxy to say its ports', () => {
            if (!this.child.running) {
                return { dead: true };
            }
            return existsSync(this.portFile) && JSON.parse(readFileSync(this.portFile, 'utf8'));
        });
        if (ports.dead) {
            throw new Error(`davenport ended at its start: ${JSON.stringify(this.child.result)}\n${this.child.text()}`);
        }
        this.admin = `http://${ports.admin}`;
        if (ports.listen.startsWith('unix:')) {
            this.socketPath = ports.listen.slice('unix:'.length);
            return;
        }
        this.origin = `http://${ports.listen}`;
        [this.host, this.port] = [new URL(this.origin).hostname, Number(new URL(this.origin).port)];
    }

    get pid() {
        return this.child.pid;
    }

    // The runtime of a sanitizer is loaded: memory and speed say nothing then.
    get sanitized() {
        return /lib(a|t|ub)san/.test(readFileSync(`/proc/${this.pid}/maps`, 'utf8'));
    }

    status() {
        return couch(`${this.admin}/status`);
    }

    // An operator's order: the whole answer.
    order(name, json = {}, actor = 'test@e2e') {
        return request(`${this.admin}/${name}`, {
            method: 'POST',
            headers: { 'davenport-admin': '1', 'davenport-actor': actor },
            json,
        });
    }

    move(region, reason) {
        return this.order('switch', { region, reason });
    }

    // A subcommand that asks this proxy.
    cli(...args) {
        return Proxy.ask([...args, '--admin', this.admin.slice('http://'.length)]);
    }

    async metrics() {
        const answer = await request(`${this.admin}/metrics`);
        assert.equal(answer.status, 200);
        return answer.text;
    }

    // The sum over all label sets of one metric.
    async metric(name) {
        const rows = (await this.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
        return rows.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    }

    async region(name) {
        const status = await this.status();
        return status.regions.find((region) => region.name === name);
    }

    async active() {
        return (await this.status()).active;
    }

    async untilActive(name, options) {
        return until(`${name} to be active`, async () => (await this.active()) === name, options);
    }

    // What is in memory, at once.
    events() {
        return couch(`${this.admin}/events`);
    }

    // What the file has by now, in whole lines: it is written beside, a moment later.
    journalLines() {
        if (!existsSync(this.journal)) {
            return [];
        }
        return readFileSync(this.journal, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line));
    }

    // A subcommand of the program, run to its end.
    static run(args, options = {}) {
        return spawnSync(BINARY, args, { encoding: 'utf8', timeout: 60_000, ...options });
    }

    // The same, of one that asks a proxy: again, where that stood still for longer than a question waits for its answer.
    static ask(args) {
        const late = ({ status, stderr }) => status === 3 && /timed out after \d+ milliseconds|SSL connection timeout/.test(stderr);
        let asked = Proxy.run(args);
        for (let again = 0; late(asked) && again < 3; again += 1) {
            asked = Proxy.run(args);
        }
        return asked;
    }

    // Drain and end; everything that must hold at the end of a proxy's life is checked here.
    async stop(limit_ms) {
        this.child.signal('SIGTERM');
        const result = await this.child.wait(limit_ms);
        const said = this.child.text();
        const report = SANITIZER_REPORT.exec(said);
        assert.equal(report, null, `a sanitizer or an assertion spoke:\n${report && said.slice(Math.max(0, report.index - 200), report.index + 6_000)}`);
        assert.deepEqual(result, { code: 0, signal: null }, `the proxy's end; its last words:\n${said.slice(-3_000)}`);
    }
}

// A test with a proxy of its own in front of `regions`, configured as `over` says (both: or a function that tells them when the
// test begins): body(proxy, t). The proxy is stopped and checked whatever the test did; when the test fails, what the proxy said
// is shown.
export function withProxy(regions, over, body, env) {
    return async (t) => {
        const now = (value) => (typeof value === 'function' ? value() : value);
        const proxy = await Proxy.start(now(regions), now(over), env);
        try {
            await body(proxy, t);
        } catch (error) {
            t.diagnostic(`the proxy's last words:\n${proxy.child.text().slice(-4_000)}`);
            await proxy.status().then(
                (status) => t.diagnostic(`its status: ${JSON.stringify(status)}`),
                () => t.diagnostic('it gives no status'),
            );
            // The test's own failure matters more than one at the end.
            await proxy.stop().catch((second) => t.diagnostic(String(second)));
            throw error;
        }
        await proxy.stop();
    };
}
