// bench/failover: see there. Each subject gets the same two regions, the same load and the same fault, one after the other.
//
//   load ──► subject ──┬─► left     each in a network namespace of its own, and replicated to the other
//                      └─► right
//
// Killing, freezing, dropping and resetting happen at the region itself; for what can't be made there something stands on the way to
// both: a gateway that can stall all but probes (gray), or davenport relay (slow, cut). What is counted comes from the drill's result.json: the judge is the same for all.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../tests/support/child.mjs';
import { FaultRelay } from '../tests/support/fault_relay.mjs';
import { Gateway } from '../tests/support/gateway.mjs';
import { request } from '../tests/support/http.mjs';
import { Network, whyNot } from '../tests/support/netns.mjs';
import { BINARY } from '../tests/support/proxy.mjs';
import { PouchRegion } from '../tests/support/region.mjs';
import { pickPort } from '../tests/support/sockets.mjs';
import { scratch, until } from '../tests/support/wait.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const LEAD_S = 12;
const LATENCY_MS = 800;
const FLAP_S = 3;

const { values: given } = parseArgs({
    options: {
        drill: { type: 'string', multiple: true },
        subject: { type: 'string', multiple: true },
        rate: { type: 'string', default: '100' },
        'fault-s': { type: 'string', default: '15' },
        'after-s': { type: 'string', default: '40' },
        json: { type: 'string' },
        keep: { type: 'string' },
    },
});
const rate = Number(given.rate);
const fault_s = Number(given['fault-s']);
const after_s = Number(given['after-s']);

// ---- regions ----

// A CouchDB of the user's own, run by a command that is called with FOLDER HOST PORT.
class CommandRegion extends PouchRegion {
    static async start(name, folder, inside) {
        const region = new CommandRegion(name, folder, inside);
        Object.assign(region, { kind: 'couchdb', auth: 'admin:secret@', probePath: '/_up', port: inside.port });
        region.origin = `http://${inside.host}:${inside.port}`;
        try {
            await region.revive();
        } catch (error) {
            await region.close(); // or it would be in the next one's place
            throw error;
        }
        return region;
    }

    async revive() {
        if (this.child?.running) {
            return this.thaw();
        }
        const [program, ...args] = [...this.inside.command, process.env.DAVENPORT_BENCH_COUCHDB];
        this.child = new Child(program, [...args, this.folder, this.inside.host, String(this.port)], {
            cwd: this.folder,
            env: process.env,
            output: join(this.folder, 'output.txt'),
        });
        const up = async () => (await request(`${this.origin}/_up`, { limit_ms: 2_000 })).status === 200;
        await until(`${this.name} at ${this.origin}`, async () => !this.child.running || (await up()));
        if (!this.child.running) {
            throw new Error(`${process.env.DAVENPORT_BENCH_COUCHDB} ended: ${this.child.text().slice(-500)}`);
        }
    }
}

const real = Boolean(process.env.DAVENPORT_BENCH_COUCHDB);

// One region, and what may stand on the way to it.
async function standUp(name, node, endings) {
    const region = await (real ? CommandRegion : PouchRegion).start(name, scratch(name), node);
    endings.push(() => region.close());
    const relay = await FaultRelay.start(`${node.host}:${node.port}`);
    endings.push(() => relay.stop());
    const gateway = await Gateway.start(region);
    endings.push(() => gateway.close());
    return { name, region, node, gateway, relay };
}

const VIA = {
    region: (side) => side.region.origin,
    gateway: (side) => side.gateway.origin,
    relay: (side) => side.relay.origin,
};

// ---- faults: what is done to a side, and undone ----

// How long the whole answer to a probe is.
async function probeBytes(region) {
    const { hostname: host, port } = new URL(region.origin);
    const socket = net.connect({ host, port });
    let bytes = 0;
    socket.on('data', (piece) => {
        bytes += piece.length;
    });
    socket.write(`GET ${region.probePath} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await new Promise((done, fail) => socket.once('close', done).once('error', fail));
    return bytes;
}

const stall = (side, stalled) => {
    side.gateway.stalled = stalled;
};

const FAULTS = {
    kill: { about: 'the server dies (SIGKILL)', on: (side) => side.region.kill(), off: (side) => side.region.revive(), outage_ms: 500 },
    freeze: { about: 'it stops (SIGSTOP)', on: (side) => side.region.freeze(), off: (side) => side.region.thaw(), outage_ms: 1_500 },
    blackhole: { about: 'packets are dropped', on: (side) => side.node.filter('drop'), off: (side) => side.node.heal(), outage_ms: 500 },
    reset: {
        about: 'every connection is reset',
        on: (side) => side.node.filter('meta l4proto tcp reject with tcp reset', ''),
        off: (side) => side.node.heal(),
        outage_ms: 500,
    },
    gray: {
        about: 'probes are answered, nothing else is',
        via: 'gateway',
        on: (side) => stall(side, true),
        off: (side) => stall(side, false),
        outage_ms: 1_500,
    },
    slow: {
        about: `answers come ${LATENCY_MS} ms later`,
        via: 'relay',
        on: (side) => side.relay.break({ kind: 'latency', ms: LATENCY_MS }),
        off: (side) => side.relay.heal(),
        reroute_ms: 5_000,
    },
    cut: {
        about: 'answers are cut short',
        via: 'relay',
        on: async (side) => side.relay.break({ kind: 'cut', bytes: (await probeBytes(side.region)) + 30 }), // documents are longer
        off: (side) => side.relay.heal(),
        outage_ms: 1_500,
    },
    flapping: {
        about: `the server dies and is back every ${2 * FLAP_S} s`,
        on: (side) => side.region.kill(),
        off: (side) => side.region.revive(),
        flaps: true,
    },
};

// The drill's commands are curls to this process: GET /FAULT/on, /FAULT/off.
async function serveHooks(sides) {
    const server = http.createServer(async (req, res) => {
        const [, fault, way] = req.url.split('/');
        let status = 200;
        try {
            await FAULTS[fault][way](sides[0]);
        } catch (error) {
            status = 500;
            console.error(`failover: ${fault} ${way}: ${error.stack}`);
        }
        res.writeHead(status).end();
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return { server, url: `http://127.0.0.1:${server.address().port}` };
}

// ---- subjects ----

const fill = (template, values) => readFileSync(join(HERE, 'conf', template), 'utf8').replace(/@([A-Z]+)@/g, (_, name) => values[name]);
const credentials = real ? { credentials: { username: 'admin', password: 'secret' } } : {};

// A peer that is told its port and a configuration.
async function startPeer(name, program, args, sides, via) {
    const folder = scratch(name);
    const port = await pickPort();
    const conf = join(folder, 'conf');
    const [LEFT, RIGHT] = sides.map((side) => new URL(VIA[via](side)).host);
    writeFileSync(conf, fill(`failover.${name}`, { PORT: port, DIR: folder, LEFT, RIGHT, PROBE: sides[0].region.probePath }));
    const child = new Child(program, args(conf, folder), { cwd: folder, env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }, output: join(folder, 'output.txt') });
    const url = `http://127.0.0.1:${port}`;
    await until(`${name} to answer`, async () => !child.running || (await request(url, { limit_ms: 2_000 })).status === 200);
    if (!child.running) {
        throw new Error(`${name} ended at its start: ${child.text().slice(-2_000)}`);
    }
    return {
        url,
        stop: async () => {
            child.signal('SIGTERM'); // killed, nginx would leave its worker behind
            await child.wait();
        },
    };
}

const SUBJECTS = {
    // As it comes, but for what a drill of a minute needs: a region that returned waits 5 s instead of 300 (then its data decides, here
    // as there), and places in feeds are marked every half second and used when they are 1 s old, not every 10 s and 60 s.
    davenport: async (sides, via) => {
        const folder = scratch('davenport');
        const ports = join(folder, 'ports.json');
        const conf = join(folder, 'davenport.json');
        writeFileSync(
            conf,
            JSON.stringify({
                listen: { address: '127.0.0.1', port: 0 },
                admin: { listen: '127.0.0.1:0' },
                workers: 1,
                regions: sides.map((side) => ({ name: side.name, url: VIA[via](side), ...credentials, replication_urls: [side.region.origin] })),
                probe: { path: sides[0].region.probePath },
                replication: { watch: 'on', interval_ms: 500 },
                sequences: { min_age_ms: 1_000 },
                failback: { hold_down_ms: 5_000, ramp_ms: 0 },
                log: { level: 'warn' },
            }),
        );
        const child = new Child(BINARY, ['serve', '-c', conf, '--port-file', ports], { cwd: folder, env: process.env, output: join(folder, 'output.txt') });
        const told = await until('davenport to say its ports', () => (child.running ? JSON.parse(readFileSync(ports, 'utf8')) : { dead: true }));
        if (told.dead) {
            throw new Error(`davenport ended at its start: ${child.text()}`);
        }
        return {
            url: `http://${told.listen}`,
            admin: told.admin,
            stop: async () => {
                child.signal('SIGTERM');
                await child.wait();
            },
        };
    },
    haproxy: (sides, via) => startPeer('haproxy.cfg.in', 'haproxy', (conf) => ['-db', '-q', '-f', conf], sides, via),
    nginx: (sides, via) => startPeer('nginx.conf.in', 'nginx', (conf, folder) => ['-p', folder, '-e', 'stderr', '-c', conf], sides, via),
};

// ---- one drill ----

const OBJECTIVES = [
    'failed', 'failed_safe', 'outage_ms', 'reroute_ms', 'p99_fault_ms', 'max_ms', 'lost', 'duplicated', 'conflicted', 'unknown',
    'conflicts_told', 'stale_reads', 'stale_after_return', 'redelivered', 'missed', 'converge_s', 'other_findings',
]; // prettier-ignore

function planOf(fault, subject, sides, hooks) {
    const { flaps } = FAULTS[fault];
    const times = flaps ? Math.max(1, Math.round(fault_s / (2 * FLAP_S))) : 1;
    const curl = (way) => `curl -sf ${hooks}/${fault}/${way}`;
    return {
        name: `${fault}: ${FAULTS[fault].about}`,
        proxy: { url: subject.url, ...(subject.admin && { admin: subject.admin }), ...(real && { username: 'admin', password: 'secret' }) },
        regions: sides.map((side) => ({
            name: side.name,
            url: side.region.origin,
            ...(real && { username: 'admin', password: 'secret' }),
            stop: curl('on'),
            start: curl('off'),
        })),
        load: {
            rate,
            seconds: LEAD_S + fault_s + after_s,
            connections: 64,
            documents: 300,
            mix: { get: 60, put: 25, post: 5, find: 4, view: 4, attachment: 2 },
        },
        steps: [
            {
                at_s: LEAD_S,
                do: 'stop',
                name: fault,
                region: 'left',
                ...(flaps ? { for_s: FLAP_S, every_s: 2 * FLAP_S, times } : { for_s: fault_s }),
            },
        ],
        objectives: Object.fromEntries(OBJECTIVES.map((name) => [name, 1_000_000_000])),
    };
}

async function drill(fault, name, network) {
    const endings = []; // run in reverse, each whatever became of the others
    const folder = scratch('drill');
    const plan = join(folder, 'plan.json');
    const out = given.keep ? resolve(given.keep, `${fault}-${name}`) : join(folder, 'out');
    try {
        endings.push(() => network.nodes[0].heal());
        const sides = [];
        for (const [i, side] of ['left', 'right'].entries()) {
            sides.push(await standUp(side, network.nodes[i], endings));
        }
        const hooks = await serveHooks(sides);
        endings.push(() => {
            hooks.server.closeAllConnections();
            hooks.server.close();
        });
        const subject = await SUBJECTS[name](sides, FAULTS[fault].via ?? 'region');
        endings.push(() => subject.stop());
        writeFileSync(plan, JSON.stringify(planOf(fault, subject, sides, hooks.url), null, 2));
        const child = new Child(BINARY, ['drill', plan, '-o', out, '--i-own-this', network.nodes.map((node) => node.host).join(',')], {
            cwd: folder,
            env: process.env,
            output: join(folder, 'output.txt'),
        });
        const { code } = await child.wait(600_000);
        if (code !== 0 && code !== 1) {
            throw new Error(`davenport drill ended with ${code}:\n${child.text().slice(-3_000)}`);
        }
        const result = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8'));
        return Object.fromEntries(result.objectives.map(({ name: key, measured }) => [key, measured]));
    } finally {
        for (const end of endings.reverse()) {
            try {
                await end();
            } catch (error) {
                console.error(`failover: at the end of ${fault} ${name}: ${error.message}`);
            }
        }
    }
}

// ---- the table ----

const COLUMNS = [
    ['failed', 'failed'],
    ['failed_safe', 'of them safe to repeat'],
    ['outage_ms', 'outage ms'],
    ['reroute_ms', 'reroute ms'],
    ['p99_fault_ms', 'p99 ms in the fault'],
    ['lost', 'lost'],
    ['duplicated', 'twice'],
    ['conflicted', 'in conflict'],
    ['conflicts_told', '409 told'],
    ['stale_after_return', 'stale after return'],
    ['redelivered', 'rows again'],
    ['missed', 'rows missed'],
];

// What is wanted of Davenport: at most so much.
function goalsOf(fault) {
    const { outage_ms, reroute_ms } = FAULTS[fault];
    return {
        failed_safe: 0,
        duplicated: 0,
        lost: 0,
        conflicted: 0,
        stale_after_return: 0,
        redelivered: 50,
        missed: 0,
        ...(outage_ms && { outage_ms }),
        ...(reroute_ms && { reroute_ms }),
    };
}

const numberOf = (measured) => (/^[0-9.]/.test(measured ?? '') ? Number.parseFloat(measured) : null);
const shown = (n) => (n === null ? '–' : String(Math.round(n)));

// Missed goals, and columns in which a peer is better.
function verdictsOf(fault, rows) {
    const own = rows.davenport;
    if (!own) {
        return [];
    }
    const missed = Object.entries(goalsOf(fault))
        .filter(([key, most]) => own[key] === null || own[key] > most)
        .map(([key, most]) => `${fault}: ${key} ${own[key] === null ? 'not measured' : shown(own[key])}, wanted at most ${most}`);
    const beaten = COLUMNS.flatMap(([key]) =>
        Object.entries(rows)
            .filter(([name, row]) => name !== 'davenport' && row[key] !== null && own[key] !== null && row[key] < own[key])
            .map(([name, row]) => `${fault}: ${name} has ${key} ${shown(row[key])}, davenport ${shown(own[key])}`),
    );
    return [...missed.map((line) => `MISSED ${line}`), ...beaten.map((line) => `BEATEN ${line}`)];
}

function render(results) {
    const head = ['drill', 'subject', ...COLUMNS.map(([, title]) => title)];
    const lines = [head, head.map((_, i) => (i < 2 ? '---' : '---:'))];
    for (const [fault, rows] of Object.entries(results)) {
        const goals = goalsOf(fault);
        for (const [name, row] of Object.entries(rows)) {
            const cells = COLUMNS.map(([key]) => {
                const text = shown(row[key]);
                const judged = name === 'davenport' && key in goals;
                return judged ? `${text} ${row[key] !== null && row[key] <= goals[key] ? '✓' : '✗'}` : text;
            });
            lines.push([`\`${fault}\``, name, ...cells]);
        }
    }
    return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

// ---- all of it ----

function chosen(list, from, what) {
    const wrong = (list ?? []).find((name) => !(name in from));
    if (wrong) {
        console.error(`failover: --${what} ${wrong}: there are ${Object.keys(from).join(', ')}`);
        process.exit(2);
    }
    return list ?? Object.keys(from);
}

const faults = chosen(given.drill, FAULTS, 'drill');
const names = chosen(given.subject, SUBJECTS, 'subject');
const no = whyNot();
if (no) {
    console.error(`failover: ${no}`);
    process.exit(1);
}
const verdictsOfAll = () => [...broken, ...faults.flatMap((fault) => verdictsOf(fault, results[fault]))];
const save = () => given.json && writeFileSync(given.json, JSON.stringify({ rate, fault_s, after_s, results, verdicts: verdictsOfAll() }, null, 2));
const run = (command, args) => execFileSync(command, args, { cwd: join(HERE, '..'), stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
if (given.keep) {
    mkdirSync(given.keep, { recursive: true });
}

const network = new Network(['left', 'right']);
const results = Object.fromEntries(faults.map((fault) => [fault, {}]));
const broken = []; // drills that could not be carried out
const pairs = faults.flatMap((fault) => names.map((name) => [fault, name]));
for (const [i, [fault, name]] of pairs.entries()) {
    const began = Date.now();
    const told = (words) => console.error(`${i + 1}/${pairs.length} ${fault} ${name}: ${Math.round((Date.now() - began) / 1000)} s; ${words}`);
    try {
        const measured = await drill(fault, name, network);
        results[fault][name] = Object.fromEntries(OBJECTIVES.map((key) => [key, numberOf(measured[key])]));
        told(COLUMNS.map(([key]) => `${key} ${shown(results[fault][name][key])}`).join(', '));
    } catch (error) {
        broken.push(`NOT RUN ${fault} ${name}: ${error.message.split('\n').map((line) => line.trim()).filter(Boolean).join(' | ').slice(0, 500)}`);
        told(error.stack);
    }
    save(); // what follows may take the machine along
}
network.remove();
const verdicts = verdictsOfAll();
console.log(
    `${rate} requests/s, the active region broken for ${fault_s} s; two ${real ? 'CouchDB' : 'pouchdb-server'}; ${os.cpus().length} cores, ${run('git', ['rev-parse', '--short', 'HEAD']).trim()}\n`,
);
console.log(render(results));
const judged = names.includes('davenport') ? 'Every goal is met, and no peer is better in any column.' : 'Davenport was not among them: no goal was judged.';
console.log(`\n${verdicts.length > 0 ? verdicts.map((line) => `- ${line}`).join('\n') : judged}`);
process.exit(broken.length > 0 ? 1 : 0);
