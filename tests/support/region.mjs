// Regions: CouchDB-like servers that a test may kill, freeze and bring back.
//
// Without DAVENPORT_E2E_REGIONS each region is a pouchdb-server of the test's own. With it, real servers:
//
//   DAVENPORT_E2E_REGIONS       "http://admin:secret@127.0.0.1:1,http://admin:secret@127.0.0.1:2"
//   DAVENPORT_E2E_REGION_START  "cmd1;cmd2": they may be killed and frozen, and these shell commands run them
//                               in the foreground again
//
// Without the last one a relay stands between the proxy and each real server, and the relay dies.
//
// All regions have: name, origin (what the proxy is told), direct (what a client may use past the proxy,
// with credentials), auth ("user:password@" or ""), probePath, kind; kill, freeze, thaw, revive, close.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from './child.mjs';
import { couch, request } from './http.mjs';
import { pickPort } from './sockets.mjs';
import { Relay } from './relay.mjs';
import { scratch, until } from './wait.mjs';

export const NAMES = ['left', 'right', 'third'];

const E2E = join(dirname(fileURLToPath(import.meta.url)), '..', 'e2e');
const POUCHDB_SERVER = join(E2E, 'node_modules', 'pouchdb-server', 'bin', 'pouchdb-server');

async function answers(url) {
    const answer = await request(url, { limit_ms: 2_000 });
    return answer.status === 200;
}

export class PouchRegion {
    // inside: {host, port, command}: where it listens, and what its command begins with; without it on a port of loopback.
    constructor(name, folder, inside = { host: '127.0.0.1', port: 0, command: [] }) {
        this.inside = inside;
        this.kind = 'pouchdb-server';
        this.name = name;
        this.folder = folder;
        this.auth = '';
        this.probePath = '/';
        this.child = null;
    }

    get pid() {
        return this.child?.pid;
    }

    get direct() {
        return this.origin;
    }

    static async start(name, folder = scratch(name), inside = undefined) {
        const region = new PouchRegion(name, folder, inside);
        const { host, port } = region.inside;
        mkdirSync(join(folder, 'data'), { recursive: true });
        for (let tries = 0; ; tries += 1) {
            region.port = port || (await pickPort());
            region.origin = `http://${host}:${region.port}`;
            try {
                await region.revive();
                return region;
            } catch (error) {
                if (tries === 5) {
                    throw error;
                }
            }
        }
    }

    async revive() {
        if (this.child?.running) {
            return this.thaw();
        }
        const [program, ...args] = [...this.inside.command, process.execPath];
        const child = new Child(
            program,
            [...args, POUCHDB_SERVER, '-n', '-o', this.inside.host, '-p', String(this.port), '-d', 'data', '-c', 'config.json'],
            {
                cwd: this.folder,
                output: join(this.folder, 'output.txt'),
                // A bad request can leave a rejected promise behind; that must not end the region.
                env: { ...process.env, NODE_OPTIONS: '--unhandled-rejections=warn' },
            },
        );
        this.child = child;
        await until(`${this.name} at ${this.origin}`, () => !child.running || answers(this.origin));
        if (!child.running) {
            throw new Error(`${this.name} ended at its start: ${child.text().slice(-2_000)}`);
        }
    }

    async kill() {
        await this.child.kill();
    }

    freeze() {
        this.child.signal('SIGSTOP');
    }

    thaw() {
        this.child.signal('SIGCONT');
    }

    async close() {
        await this.child?.kill();
    }
}

// A real server behind a relay.
class RelayedRegion {
    static async start(name, url) {
        const region = new RelayedRegion();
        const at = new URL(url);
        Object.assign(region, describe(name, url));
        region.relay = await Relay.start({ host: at.hostname, port: Number(at.port) });
        region.origin = `http://127.0.0.1:${region.relay.port}`;
        return region;
    }

    kill() {
        return this.relay.kill();
    }

    freeze() {
        this.relay.freeze();
    }

    thaw() {
        this.relay.thaw();
    }

    revive() {
        return this.relay.revive();
    }

    close() {
        return this.relay.kill();
    }
}

// A real server whose process is ours to kill. It outlives the test: `close` brings it back.
class OwnedRegion {
    static start(name, url, command) {
        const region = new OwnedRegion();
        return Object.assign(region, describe(name, url), { command, origin: `http://${new URL(url).host}` });
    }

    // Whoever listens there now: an earlier test may have started it anew.
    get pid() {
        const { port } = new URL(this.origin);
        const line = execFileSync('ss', ['-Hltnp', `sport = :${port}`], { encoding: 'utf8' });
        const found = /pid=(\d+)/.exec(line);
        return found ? Number(found[1]) : null;
    }

    async kill() {
        process.kill(this.pid, 'SIGKILL');
        await until(`${this.name} to end`, () => this.pid === null);
    }

    freeze() {
        process.kill(this.pid, 'SIGSTOP');
    }

    thaw() {
        process.kill(this.pid, 'SIGCONT');
    }

    async revive() {
        if (this.pid !== null) {
            this.thaw();
        } else {
            spawn('/bin/sh', ['-c', `exec ${this.command}`], { detached: true, stdio: 'ignore' }).unref();
        }
        await until(`${this.name} at ${this.origin}`, () => answers(this.direct));
    }

    close() {
        return this.revive();
    }
}

function describe(name, url) {
    const at = new URL(url);
    return {
        kind: 'couchdb',
        name,
        direct: url.replace(/\/$/, ''),
        auth: at.username ? `${at.username}:${at.password}@` : '',
        probePath: '/_up',
    };
}

// The regions of a test file: `count` of them, in the order of preference.
export async function startRegions(count = 2) {
    const real = (process.env.DAVENPORT_E2E_REGIONS ?? '').split(',').filter(Boolean);
    if (real.length === 0) {
        return Promise.all(NAMES.slice(0, count).map((name) => PouchRegion.start(name)));
    }
    if (real.length < count) {
        throw new Error(`this test needs ${count} regions, DAVENPORT_E2E_REGIONS has ${real.length}`);
    }
    const commands = (process.env.DAVENPORT_E2E_REGION_START ?? '').split(';').filter(Boolean);
    return Promise.all(
        real.slice(0, count).map((url, i) =>
            commands.length >= count
                ? OwnedRegion.start(NAMES[i], url, commands[i])
                : RelayedRegion.start(NAMES[i], url),
        ),
    );
}

export const usesRealServers = () => Boolean(process.env.DAVENPORT_E2E_REGIONS);

// The document that makes `from` push its database to `to`, for ever.
export async function replicate(from, to, db) {
    const id = `${db}-${from.name}-to-${to.name}`;
    const url = `${from.direct}/_replicator/${id}`;
    const old = await request(url);
    if (old.status === 200) {
        await couch(`${url}?rev=${old.json._rev}`, { method: 'DELETE' });
    }
    await couch(url, {
        method: 'PUT',
        json: { source: `${from.direct}/${db}`, target: `${to.direct}/${db}`, continuous: true },
    });
    return id;
}

const homes = new Map(); // database -> the regions between which it is replicated
const NUDGE_MS = 5_000;

// Of a database that something else makes and replicates.
export const homeOf = (db, regions) => homes.set(db, regions);

// A pouchdb-server's replication now and then leaves out the last change until another one comes: so there is another one. What is
// written is the tombstone of a design document, which is nobody's data: nothing lists or counts it, and no backup has it.
async function nudge(db) {
    for (const region of (homes.get(db) ?? []).filter(({ kind }) => kind === 'pouchdb-server')) {
        const doc = { _id: `_design/nudge-${region.name}-${Date.now().toString(36)}`, _rev: `1-${'0'.repeat(32)}`, _deleted: true };
        const json = { new_edits: false, docs: [doc] };
        await request(`${region.direct}/${db}/_bulk_docs`, { method: 'POST', json }).catch(() => {}); // it may be dead
    }
}

// Wait for what replication has to bring.
export function carried(what, db, check, options = {}) {
    let next = Date.now() + NUDGE_MS;
    return until(
        what,
        async () => {
            if (Date.now() > next) {
                await nudge(db);
                next = Date.now() + NUDGE_MS;
            }
            return check();
        },
        { every_ms: 100, ...options },
    );
}

// The same for something else that waits, as long as it does.
export async function nudged(db, waiting) {
    const nudging = setInterval(() => nudge(db), NUDGE_MS);
    try {
        return await waiting;
    } finally {
        clearInterval(nudging);
    }
}

let databases = 0;

// A database of a new name in every region, with continuous replication each way if wanted.
export async function createDatabase(regions, { replicated = false, name = 'e2e' } = {}) {
    databases += 1;
    const db = `${name}_${process.pid}_${databases}_${Date.now().toString(36)}`;
    for (const region of regions) {
        await couch(`${region.direct}/${db}`, { method: 'PUT' });
    }
    if (replicated) {
        homes.set(db, regions);
        for (const from of regions) {
            for (const to of regions) {
                if (from !== to) {
                    await replicate(from, to, db);
                }
            }
        }
        // Both directions work: a document of each region is seen in the other.
        for (const region of regions) {
            await couch(`${region.direct}/${db}/from-${region.name}`, { method: 'PUT', json: { at: region.name } });
        }
        for (const region of regions) {
            for (const other of regions) {
                await carried(`replication to ${region.name}`, db, () => has(region, db, `from-${other.name}`));
            }
        }
    }
    return db;
}

export async function has(region, db, id) {
    const answer = await request(`${region.direct}/${db}/${encodeURIComponent(id)}`);
    return answer.status === 200;
}

// All document ids in a region, design documents left out.
export async function ids(region, db) {
    const all = await couch(`${region.direct}/${db}/_all_docs`);
    return new Set(all.rows.map((row) => row.id).filter((id) => !id.startsWith('_design/')));
}

// Wait until every region has these documents.
export async function everywhere(regions, db, wanted, options = {}) {
    for (const region of regions) {
        await carried(
            `${wanted.length} documents in ${region.name}`,
            db,
            async () => {
                const there = await ids(region, db);
                const missing = wanted.filter((id) => !there.has(id));
                if (missing.length > 0) {
                    throw new Error(`${missing.length} missing, for example ${missing[0]}`);
                }
                return true;
            },
            { every_ms: 200, ...options },
        );
    }
}

// Away with what a real server would keep.
export async function dropDatabase(regions, db) {
    if (!usesRealServers()) {
        return;
    }
    for (const from of regions) {
        for (const to of regions) {
            const url = `${from.direct}/_replicator/${db}-${from.name}-to-${to.name}`;
            const old = await request(url);
            if (old.status === 200) {
                await request(`${url}?rev=${old.json._rev}`, { method: 'DELETE' });
            }
        }
    }
    for (const region of regions) {
        await request(`${region.direct}/${db}`, { method: 'DELETE' });
    }
}

// For a proxy's configuration: regions that it asks for more than /_up (a watch over replication), with the credentials that clients use.
export function withCredentials(regions) {
    return regions.map(({ name, origin, auth }) => {
        const [username, password] = auth.slice(0, -1).split(':');
        return { name, url: origin, ...(auth && { credentials: { username, password } }) };
    });
}

// A client's URL of the proxy (or of anything that stands in for a region), with the regions' credentials.
export function clientUrl(region, origin) {
    return origin.replace('http://', `http://${region.auth}`);
}
