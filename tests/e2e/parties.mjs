// The real clients of CouchDB, each behind the same few functions (writer.mjs says which), and their followers of
// _changes, each filling a Told (history.mjs).

import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { once } from 'node:events';
import couchbackup from '@cloudant/couchbackup';
import { BasicAuthenticator, ChangesFollower, CloudantV1 } from '@ibm-cloud/cloudant';
import { NoAuthAuthenticator } from 'ibm-cloud-sdk-core';
import nano from 'nano';
import http from 'pouchdb-adapter-http';
import memory from 'pouchdb-adapter-memory';
import PouchDB from 'pouchdb-core';
import replication from 'pouchdb-replication';
import { Told } from '../support/history.mjs';
import { couch } from '../support/http.mjs';
import { pause, until } from '../support/wait.mjs';

const follow = createRequire(import.meta.url)('cloudant-follow');

PouchDB.plugin(http).plugin(memory).plugin(replication);

// What a client throws, with the status of the answer where there was one.
async function told(promise) {
    try {
        return await promise;
    } catch (error) {
        const status = error.statusCode ?? error.status ?? error.code;
        throw Object.assign(new Error(`${error.error ?? error.name}: ${error.message}`, { cause: error }), {
            status: Number.isInteger(status) ? status : undefined,
        });
    }
}

// url: of the database, with credentials.
export function nanoParty(url) {
    const db = nano(url);
    return {
        post: (doc) => told(db.insert(doc)),
        put: (id, doc) => told(db.insert(doc, id)),
        bulk: (docs) => told(db.bulk({ docs })),
        get: (id) => told(db.get(id)),
        destroy: (id, rev) => told(db.destroy(id, rev)),
        // nano's own follower: longpolls by POST.
        follow() {
            const heard = new Told('nano ChangesReader');
            const feed = db.changesReader.start({ since: '0', timeout: 2_000 });
            feed.on('change', (row) => heard.row(row));
            feed.on('error', (error) => {
                heard.died ??= error.message;
            });
            heard.stop = () => db.changesReader.stop();
            return heard;
        },
    };
}

export function sdkParty(url, { gzip }) {
    const at = new URL(url);
    const authenticator = at.username
        ? new BasicAuthenticator({ username: at.username, password: at.password })
        : new NoAuthAuthenticator();
    const service = CloudantV1.newInstance({ authenticator });
    service.setServiceUrl(at.origin);
    service.setEnableGzipCompression(gzip);
    const db = at.pathname.slice(1);
    const result = async (promise) => (await told(promise)).result;
    return {
        service,
        post: (document) => result(service.postDocument({ db, document })),
        put: (docId, document) => result(service.putDocument({ db, docId, document })),
        bulk: (docs) => result(service.postBulkDocs({ db, bulkDocs: { docs } })),
        get: (docId) => result(service.getDocument({ db, docId })),
        destroy: (docId, rev) => result(service.deleteDocument({ db, docId, rev })),
        follow() {
            const heard = new Told('ChangesFollower');
            const follower = new ChangesFollower(service, { db, since: '0' });
            const rows = follower.start();
            rows.on('data', (row) => heard.row(row));
            rows.on('error', (error) => {
                heard.died ??= error.message;
            });
            heard.stop = () => follower.stop();
            return heard;
        },
    };
}

// cloudant-follow: a continuous feed. It has no writer. asked: how many feeds it has ordered, to be opened now or after a pause.
export function followParty(url, { heartbeat = 10_000 } = {}) {
    const heard = Object.assign(new Told('cloudant-follow'), { asked: 1 });
    const feed = new follow.Feed({ db: url, since: 0, heartbeat, initial_retry_delay: 500 });
    feed.on('retry', () => {
        heard.asked += 1;
    });
    feed.on('change', (row) => heard.row(row));
    feed.on('error', (error) => {
        heard.died ??= error.message;
    });
    feed.follow();
    heard.stop = () => feed.stop();
    return heard;
}

// A PouchDB that replicates both ways, live. It writes and reads what is here; `told` is what it holds in the end.
export class PouchParty {
    constructor(url, name) {
        this.local = new PouchDB(name, { adapter: 'memory' });
        this.errors = [];
        this.denied = [];
        // Its replication asks for the database's info and looks after no failure of that, also when it has been canceled: so what is under
        // way ends before the proxy does, and nothing is begun then. A GET whose connection is reset goes again once, as browsers send it
        // (RFC 9112, 9.3.1), and is counted: where a region dies a cut answer ends with its connection.
        this.asking = new Set();
        this.ending = false;
        this.resets = 0;
        const once = async (at, options) => {
            try {
                return await PouchDB.fetch(at, options);
            } catch (error) {
                if (error.code !== 'ECONNRESET' || (options?.method ?? 'GET') !== 'GET' || this.ending) {
                    throw error;
                }
                this.resets += 1;
                return PouchDB.fetch(at, options);
            }
        };
        const remote = new PouchDB(url, {
            fetch: (at, options) => {
                if (this.ending) {
                    return new Promise(() => {});
                }
                const one = once(at, options);
                const forget = () => this.asking.delete(one);
                this.asking.add(one);
                one.then(forget, forget);
                return one;
            },
        });
        // Quick retries: the default doubles its pause up to ten minutes.
        this.sync = this.local.sync(remote, { live: true, retry: true, back_off_function: () => 100, heartbeat: 1_000 });
        this.sync.on('denied', (what) => this.denied.push(JSON.stringify(what)));
        this.sync.catch((error) => this.errors.push(error.message));
    }

    post(doc) {
        return told(this.local.post(doc));
    }

    put(id, doc) {
        return told(this.local.put({ _id: id, ...doc }));
    }

    bulk(docs) {
        return told(this.local.bulkDocs(docs));
    }

    get(id) {
        return told(this.local.get(id));
    }

    destroy(id, rev) {
        return told(this.local.remove(id, rev));
    }

    // The documents of which a database has not all that is here.
    async lacking(url) {
        const { results } = await this.local.changes({ since: 0, style: 'all_docs' });
        const here = Object.fromEntries(results.map(({ id, changes }) => [id, changes.map(({ rev }) => rev)]));
        return Object.keys(await couch(`${url}/_revs_diff`, { method: 'POST', json: here }));
    }

    // Like the Told of a follower: whether it has a revision as a branch, whatever else it has.
    follow() {
        const heard = new Told('PouchDB');
        const changes = this.local.changes({ since: 0, live: true, style: 'all_docs' });
        changes.on('change', (row) => heard.row(row));
        changes.on('error', (error) => {
            heard.died ??= error.message;
        });
        heard.stop = () => changes.cancel();
        return heard;
    }

    async stop() {
        this.sync.cancel();
        this.ending = true;
        await until('its requests to end', () => this.asking.size === 0);
        await this.local.destroy();
    }
}

// One run of couchbackup, by its programming interface. Gives the number of documents, or throws. mode: full, or shallow, which
// has of each document that is not deleted the branch that wins.
const BATCHES = { bufferSize: 50, parallelism: 3 };
const SHALLOW = { bufferSize: 50 };

export async function backup(url, file, mode = 'full') {
    const to = createWriteStream(file);
    await once(to, 'open');
    try {
        return await new Promise((resolve, reject) => {
            couchbackup.backup(url, to, { mode, ...(mode === 'full' ? BATCHES : SHALLOW) }, (error, done) => (error ? reject(error) : resolve(done.total)));
        });
    } finally {
        if (!to.closed) {
            to.end();
            await once(to, 'close');
        }
    }
}

export function restore(file, url) {
    return new Promise((resolve, reject) => {
        couchbackup.restore(createReadStream(file), url, BATCHES, (error, done) => (error ? reject(error) : resolve(done.total)));
    });
}

// Backs a database up, again and again, and restores each backup into one of the databases that wait for it.
export class Keeper {
    constructor(url, folder, targets, { mode = 'full', think_ms = 0 } = {}) {
        Object.assign(this, { url, folder, targets, mode, think_ms, steps: 0, pace: 1, stopping: false });
        this.files = []; // of backups that were told to be whole
        this.restored = []; // {file, url}
        this.failures = [];
        this.loops = [this.loop()];
    }

    async loop() {
        for (let i = 0; !this.stopping; i += 1) {
            try {
                const file = join(this.folder, `backup-${i}`);
                await backup(this.url, file, this.mode);
                this.files.push(file);
                const target = this.targets.shift();
                if (target) {
                    await restore(file, target);
                    this.restored.push({ file, url: target });
                }
            } catch (error) {
                this.failures.push(`${error.name}: ${error.message}`);
            }
            this.steps += 1;
            await pause(this.think_ms);
        }
    }

    tell() {
        return `couchbackup, ${this.mode} (${this.files.length} backups, ${this.restored.length} restored; failures: ${this.failures.join('; ')})`;
    }

    async stop() {
        this.stopping = true;
        await Promise.all(this.loops);
    }
}

// What is in a backup: "id rev" of every branch.
export function branchesOf(file) {
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    return lines
        .map((line) => JSON.parse(line))
        .filter(Array.isArray)
        .flat()
        .map((doc) => `${doc._id} ${doc._rev}`)
        .sort();
}
