// A region that carries a request out and dies before it answers, or before it begins, as a test says: in front of a
// CouchDB in memory (mini_couch.mjs) or of a real one.
//
//   region.fate = (request) => 'pass' | 'before' | 'after' | 'within' | async function called between the doing and the death
//
//   pass      answered
//   before    closed, nothing done
//   after     done, then closed without a byte
//   within    done, then half of the answer and closed
//   function  done, then the function (replication, for instance), then closed without a byte
//
// Probes always pass. {reset: true} in the constructor's options: it dies with a reset instead of a FIN.

import http from 'node:http';
import { reset as resetSocket } from './sockets.mjs';
import { atExit } from './wait.mjs';

export class DyingRegion {
    static async start(name, backend, options = {}) {
        const region = new DyingRegion(name, backend, options);
        await new Promise((resolve) => region.server.listen(0, '127.0.0.1', resolve));
        region.origin = `http://127.0.0.1:${region.server.address().port}`;
        return region;
    }

    constructor(name, backend, { reset = false } = {}) {
        Object.assign(this, { name, backend, reset, probePath: '/_up', auth: '' });
        this.fate = () => 'pass';
        this.seen = []; // {method, target, headers, body, fate} of all but probes
        this.sockets = new Set();
        this.server = http.createServer((req, res) => this.serve(req, res));
        this.server.keepAliveTimeout = 0;
        this.server.on('connection', (socket) => {
            this.sockets.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => this.sockets.delete(socket));
        });
        atExit(() => this.sockets.forEach((socket) => socket.destroy()));
    }

    async serve(req, res) {
        const parts = [];
        req.on('error', () => {});
        for await (const part of req) {
            parts.push(part);
        }
        const request = { method: req.method, target: req.url, headers: req.headers, body: Buffer.concat(parts) };
        if (/^\/(_up)?$/.test(req.url)) {
            res.end('{"status":"ok"}');
            return;
        }
        const fate = this.fate(request);
        this.seen.push({ ...request, fate });
        if (fate === 'before') {
            this.die(req.socket);
            return;
        }
        const answer = await this.backend.handle(request);
        if (typeof fate === 'function') {
            await fate();
        }
        if (fate === 'after' || typeof fate === 'function') {
            this.die(req.socket);
            return;
        }
        res.writeHead(answer.status, { 'Content-Type': 'application/json', ...answer.headers, 'Content-Length': answer.body.length });
        if (fate === 'within') {
            res.write(answer.body.subarray(0, answer.body.length >> 1), () => this.die(req.socket));
        } else {
            res.end(answer.body);
        }
    }

    die(socket) {
        if (this.reset) {
            resetSocket(socket);
        } else {
            socket.destroy();
        }
    }

    async close() {
        const closed = new Promise((resolve) => this.server.close(resolve));
        this.sockets.forEach((socket) => socket.destroy());
        await closed;
    }
}
