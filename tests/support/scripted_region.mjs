// A region that says exactly what a test wants, byte by byte.
//
//   const region = await ScriptedRegion.start();
//   region.on('GET /db/a', [answer(200, {…})]);          // whole answers, see couchdb_rows.mjs
//   region.on(/^PUT /, [FIN], { times: 1 });             // reads the request, then closes; once
//   region.play('06b-changes-feeds/mm-longpoll', /_changes/);
//
// The last rule that matches wins; `times` limits how often it does. Without a match: GET / and GET /_up
// answer as a healthy CouchDB does, all else is its 404 of a database that is not there.
//
// A script is a list of steps, or a function of the request that gives one:
//   string or Buffer     written as it is
//   {pause: ms}          nothing for a while
//   {until: promise}     nothing until then
//   {body: true}         read the rest of the request (rules with early: true only)
//   {pattern: bytes}     so many bytes of a repeating pattern, no faster than they are taken
//   {fin: true}          close; {reset: true} with a RST; {stall: true} say nothing more, ever
// Without fin, reset or stall the connection is kept for the next request.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { answer, EARLY, error, ROWS } from './couchdb_rows.mjs';
import { pickPort, reset } from './sockets.mjs';
import { atExit, pause } from './wait.mjs';

const KEPT_BODY = 1 << 20;

// Bytes that can be made again anywhere: byte i = (7 * i + 13) mod 251.
export function pattern(bytes, from = 0) {
    const out = Buffer.allocUnsafe(bytes);
    for (let i = 0; i < bytes; i += 1) {
        out[i] = (7 * (from + i) + 13) % 251;
    }
    return out;
}

// The sha256 of `bytes` bytes of the pattern, in hexadecimal.
export function patternHash(bytes) {
    const hash = createHash('sha256');
    const unit = pattern(251 * 256);
    let left = bytes;
    for (; left >= unit.length; left -= unit.length) {
        hash.update(unit);
    }
    return hash.update(unit.subarray(0, left)).digest('hex');
}

export class ScriptedRegion {
    // leaf: files of a certificate and its key (see tls.mjs), and it speaks TLS; another one counts from revive() on.
    static async start(name = 'scripted', { host = '127.0.0.1', port, leaf } = {}) {
        const region = new ScriptedRegion(name);
        region.host = host;
        region.leaf = leaf;
        region.port = port ?? (await pickPort());
        region.origin = `${leaf ? 'https' : 'http'}://${host}:${region.port}`;
        region.direct = region.origin;
        await region.revive();
        return region;
    }

    constructor(name) {
        Object.assign(this, { name, kind: 'scripted', auth: '', probePath: '/_up', server: null });
        this.rules = [];
        this.requests = []; // every request whose head was read, but probes
        this.connections = new Set();
        this.accepted = 0;
        atExit(() => this.connections.forEach((socket) => socket.destroy()));
    }

    on(match, script, { times = Infinity, early = false } = {}) {
        const test =
            typeof match === 'function'
                ? match
                : (request) =>
                      match instanceof RegExp
                          ? match.test(`${request.method} ${request.target}`)
                          : match === `${request.method} ${request.target}`;
        const rule = { test, script, left: times, early };
        this.rules.unshift(rule);
        return rule;
    }

    // Answer as CouchDB did in a recorded exchange.
    play(row, match = () => true, options = {}) {
        if (!ROWS[row]) {
            throw new Error(`no such row: ${row}`);
        }
        return this.on(match, (request) => ROWS[row](request.headers.host), { early: EARLY.has(row), ...options });
    }

    async revive() {
        const serve = (socket) => this.serve(socket);
        const server = this.leaf
            ? tls.createServer({ cert: readFileSync(this.leaf.cert), key: readFileSync(this.leaf.key) }, serve)
            : net.createServer(serve);
        await new Promise((resolve, reject) => {
            server.once('error', reject);
            server.listen(this.port, this.host, resolve);
        });
        this.server = server.unref(); // a test that failed before it could close it ends all the same
    }

    async kill() {
        const server = this.server;
        this.server = null;
        this.connections.forEach((socket) => socket.destroy());
        if (server) {
            await new Promise((resolve) => server.close(resolve));
        }
    }

    close() {
        return this.kill();
    }

    // Requests seen that match, probes left out.
    seen(match) {
        return this.requests.filter((request) => match.test(`${request.method} ${request.target}`));
    }

    async serve(socket) {
        this.accepted += 1;
        this.connections.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('close', () => this.connections.delete(socket));
        const reader = new Reader(socket);
        try {
            for (;;) {
                const request = await reader.head();
                if (!request) {
                    break;
                }
                const rule = this.choose(request);
                if (!/^(GET|HEAD) \/(_up)?$/.test(`${request.method} ${request.target}`)) {
                    this.requests.push(request);
                }
                if (!rule.early) {
                    await reader.body(request);
                }
                const script = typeof rule.script === 'function' ? rule.script(request) : rule.script;
                if (!(await this.perform(script, socket, reader, request))) {
                    return;
                }
                await reader.body(request);
            }
            socket.end();
        } catch {
            socket.destroy(); // the other side went away, or sent what is no HTTP
        }
    }

    choose(request) {
        const rule = this.rules.find((candidate) => candidate.left > 0 && candidate.test(request));
        if (rule) {
            rule.left -= 1;
            return rule;
        }
        const probe = { 'GET /': '01-server/welcome', 'GET /_up': '01-server/up-ok' };
        const row = probe[`${request.method} ${request.target}`];
        const script = row ? ROWS[row](request.headers.host) : [error(404, 'not_found', 'Database does not exist.')];
        return { script, early: false };
    }

    // Carry the steps out. Gives whether the connection goes on.
    async perform(script, socket, reader, request) {
        for (const step of script) {
            if (socket.destroyed) {
                return false;
            }
            if (typeof step === 'string' || Buffer.isBuffer(step)) {
                socket.write(step);
            } else if (step.pause !== undefined) {
                await pause(step.pause);
            } else if (step.until !== undefined) {
                await step.until;
            } else if (step.body) {
                await reader.body(request);
            } else if (step.pattern !== undefined) {
                await writePattern(socket, step.pattern);
            } else if (step.fin) {
                await new Promise((resolve) => socket.end(resolve));
                return false;
            } else if (step.reset) {
                await drained(socket);
                reset(socket);
                return false;
            } else if (step.stall) {
                return false;
            } else {
                throw new Error(`unknown step ${JSON.stringify(step)}`);
            }
        }
        return !socket.destroyed;
    }
}

// Until what was written has been handed to the kernel, or the connection is gone.
async function drained(socket) {
    if (socket.writableLength === 0 || socket.destroyed) {
        return;
    }
    await new Promise((resolve) => {
        const done = () => {
            socket.off('close', done);
            resolve();
        };
        socket.once('close', done);
        socket.write('', done);
    });
}

async function writePattern(socket, bytes) {
    const unit = pattern(251 * 256);
    for (let left = bytes; left > 0 && !socket.destroyed; left -= unit.length) {
        if (!socket.write(left < unit.length ? unit.subarray(0, left) : unit)) {
            await drained(socket);
        }
    }
}

// Reads requests off a socket, no further than asked: what is not read yet holds the sender back.
class Reader {
    constructor(socket) {
        this.socket = socket;
        this.bytes = Buffer.alloc(0);
        this.ended = false;
        this.wake = null;
        socket.pause();
        socket.on('readable', () => this.wake?.());
        for (const event of ['end', 'close']) {
            socket.on(event, () => {
                this.ended = true;
                this.wake?.();
            });
        }
    }

    // More bytes, or false at the end.
    async more() {
        for (;;) {
            const got = this.socket.read();
            if (got) {
                this.bytes = this.bytes.length === 0 ? got : Buffer.concat([this.bytes, got]);
                return true;
            }
            if (this.ended || this.socket.destroyed) {
                return false;
            }
            await new Promise((resolve) => {
                this.wake = resolve;
            });
            this.wake = null;
        }
    }

    take(count) {
        const taken = this.bytes.subarray(0, count);
        this.bytes = this.bytes.subarray(count);
        return taken;
    }

    async line() {
        for (;;) {
            const end = this.bytes.indexOf('\r\n');
            if (end >= 0) {
                return this.take(end + 2).subarray(0, end).toString('latin1');
            }
            if (!(await this.more())) {
                throw new Error('ended inside a line');
            }
        }
    }

    // The next request without its body; null at an orderly end.
    async head() {
        for (;;) {
            const end = this.bytes.indexOf('\r\n\r\n');
            if (end >= 0) {
                const raw = this.take(end + 4).toString('latin1');
                const [line, ...rows] = raw.slice(0, -4).split('\r\n');
                const [method, target, version] = line.split(' ');
                const headers = {};
                for (const row of rows) {
                    const colon = row.indexOf(':');
                    const name = row.slice(0, colon).toLowerCase();
                    const value = row.slice(colon + 1).trim();
                    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
                }
                return { method, target, version, headers, raw, body: Buffer.alloc(0), bytes: 0, whole: false };
            }
            if (!(await this.more())) {
                return null;
            }
        }
    }

    // Read what is left of the request's body. Large ones are counted and hashed, not kept.
    async body(request) {
        if (request.whole) {
            return;
        }
        const hash = createHash('sha256');
        const kept = [];
        const eat = async (count) => {
            for (let left = count; left > 0; ) {
                if (this.bytes.length === 0 && !(await this.more())) {
                    throw new Error('ended inside a body');
                }
                const part = this.take(Math.min(left, this.bytes.length));
                left -= part.length;
                request.bytes += part.length;
                hash.update(part);
                if (request.bytes <= KEPT_BODY) {
                    kept.push(part);
                }
            }
        };
        if (/chunked/.test(request.headers['transfer-encoding'] ?? '')) {
            for (;;) {
                const size = parseInt(await this.line(), 16);
                if (size === 0) {
                    while ((await this.line()) !== '') {
                        // trailers mean nothing here
                    }
                    break;
                }
                await eat(size);
                await this.line();
            }
        } else {
            await eat(Number(request.headers['content-length'] ?? 0));
        }
        request.sha256 = hash.digest('hex');
        request.body = Buffer.concat(kept);
        request.whole = true;
    }
}

export { answer, error };
