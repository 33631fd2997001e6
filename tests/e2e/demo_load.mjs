// The application of scripts/demo: it works through the proxy's one URL and takes note of what it sees.
//
//   node demo_load.mjs prepare PROXY LEFT RIGHT            database, replication, a few documents
//   node demo_load.mjs run PROXY LEFT RIGHT ADMIN STATE    work until SIGTERM, then compare both regions
//
// run keeps STATE up to date, a file of name=value lines that a shell can read:
//   requests, failed, slowest_ms, acknowledged, active    so far
//   marks                                                  how often SIGUSR1 came
//   since_mark, failed_since, slowest_since, first_ms      since the last one; first_ms: from that signal
//                                                          to the first good answer of a request begun after it
//   in_left, in_right, in_none                             requests begun while that region was active
//   missing_left, missing_right                            acknowledged writes that are not there (at the end)
// It exits 0 only if no request failed and no acknowledged write is missing.

import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { couch, request } from '../support/http.mjs';
import { httpClient, Load } from '../support/load.mjs';
import { carried, everywhere, homeOf, ids, replicate } from '../support/region.mjs';
import { pause } from '../support/wait.mjs';

const DB = 'demo';
const [command, proxy, left, right, admin, statePath] = process.argv.slice(2);
const regions = [
    { name: 'left', direct: left, kind: 'pouchdb-server' },
    { name: 'right', direct: right, kind: 'pouchdb-server' },
];
homeOf(DB, regions);
const SAMPLES = ['espresso', 'cortado', 'flat white', 'cappuccino', 'doppio', 'macchiato', 'lungo', 'ristretto'].map(
    (drink, i) => ({ _id: `order-${i + 1}`, type: 'order', drink, table: 1 + (i % 4) }),
);

async function prepare() {
    // Creating a database is not replicated: it is made in each region.
    for (const region of regions) {
        await couch(`${region.direct}/${DB}`, { method: 'PUT' });
    }
    await replicate(regions[0], regions[1], DB);
    await replicate(regions[1], regions[0], DB);
    for (const doc of SAMPLES) {
        await couch(`${proxy}/${DB}/${doc._id}`, { method: 'PUT', json: doc });
    }
    await everywhere(regions, DB, SAMPLES.map((doc) => doc._id));
}

async function run() {
    let mark = 0;
    let marks = 0;
    let active = 'none';
    process.on('SIGUSR1', () => {
        mark = Date.now();
        marks += 1;
    });
    let ending = false;
    process.on('SIGTERM', () => {
        ending = true;
    });

    const load = new Load(httpClient(`${proxy}/${DB}`), {
        known: SAMPLES.map((doc) => doc._id),
        clients: 6,
        think_ms: 15,
        mix: ['get', 'put', 'get', 'find', 'get', 'put'],
        prefix: 'visit',
        onResult: (result) => {
            result.active = active;
            if (result.failed) {
                appendFileSync(`${statePath}.failed`, `${JSON.stringify(result)}\n`);
            }
        },
    });
    const count = (test) => load.results.filter(test).length;
    const values = () => {
        const since = load.results.filter((result) => result.at >= mark);
        const first = since.filter((result) => !result.failed).map((result) => result.at + result.ms - mark);
        return {
            requests: load.results.length,
            failed: load.failed.length,
            slowest_ms: Math.ceil(load.slowest_ms),
            acknowledged: load.acknowledged.length,
            active,
            marks,
            since_mark: since.length,
            failed_since: since.filter((result) => result.failed).length,
            slowest_since: Math.ceil(since.reduce((most, result) => Math.max(most, result.ms), 0)),
            first_ms: first.length > 0 ? Math.ceil(Math.min(...first)) : -1,
            in_left: count((result) => result.active === 'left'),
            in_right: count((result) => result.active === 'right'),
            in_none: count((result) => result.active === 'none'),
        };
    };
    const write = (extra = {}) => {
        const lines = Object.entries({ ...values(), ...extra }).map(([name, value]) => `${name}=${value}\n`);
        writeFileSync(`${statePath}.new`, lines.join(''));
        renameSync(`${statePath}.new`, statePath);
    };

    while (!ending) {
        try {
            active = (await request(`${admin}/status`, { limit_ms: 1_000 })).json.active ?? 'none';
        } catch {
            active = 'none';
        }
        write();
        await pause(50);
    }
    await load.stop();

    // What was answered as stored must be in both regions once replication has caught up.
    const missing = { missing_left: 0, missing_right: 0 };
    for (const region of regions) {
        await carried('replication', DB, async () => {
            const there = await ids(region, DB);
            missing[`missing_${region.name}`] = load.acknowledged.filter((id) => !there.has(id)).length;
            return missing[`missing_${region.name}`] === 0;
        }).catch(() => {});
    }
    write(missing);
    process.exitCode = load.failed.length + missing.missing_left + missing.missing_right === 0 ? 0 : 1;
}

await (command === 'prepare' ? prepare() : run());
