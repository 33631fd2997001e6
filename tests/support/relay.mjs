// A TCP relay in front of a server that a test may not kill: it passes bytes, or dies, or freezes, or is late with
// answers, or cuts them short.

import net from 'node:net';
import { pickPort, reset as resetSocket } from './sockets.mjs';

export class Relay {
    static async start(target) {
        const relay = new Relay(target);
        await relay.listen(await pickPort());
        return relay;
    }

    constructor({ host, port }) {
        this.target = { host, port };
        this.frozen = false;
        this.delay_ms = 0; // of all that the server says, from now on
        this.cut_bytes = Infinity; // of each piece that the server says, from now on: then the connection ends
        this.pairs = new Set();
        this.server = null;
        this.port = 0;
    }

    async listen(port) {
        const server = net.createServer({ pauseOnConnect: true }, (client) => this.accept(client));
        await new Promise((resolve, reject) => {
            server.once('error', reject);
            server.listen(port, '127.0.0.1', resolve);
        });
        this.server = server;
        this.port = server.address().port;
    }

    accept(client) {
        const upstream = net.connect({ ...this.target });
        const pair = [client, upstream];
        this.pairs.add(pair);
        for (const [from, to] of [pair, [upstream, client]]) {
            from.setNoDelay(true);
            const pass = (bytes) => {
                if (!to.write(bytes)) {
                    from.pause();
                    to.once('drain', () => this.frozen || from.resume());
                }
            };
            const late = from === upstream ? this.later() : (act) => act();
            from.on('data', (bytes) => {
                if (from === upstream && bytes.length > this.cut_bytes) {
                    to.end(bytes.subarray(0, this.cut_bytes));
                    from.destroy();
                    return;
                }
                late(() => pass(bytes));
            });
            from.on('end', () => late(() => to.end()));
            from.on('error', () => to.destroy());
            from.on('close', () => {
                late(() => (to.writableEnded ? to.destroySoon() : to.destroy()));
                this.pairs.delete(pair);
            });
        }
        if (this.frozen) {
            upstream.pause();
        } else {
            client.resume();
        }
    }

    // Acts in their order, each as late as delay_ms says when it comes.
    later() {
        let last = 0;
        return (act) => {
            const due = Math.max(last, performance.now() + this.delay_ms);
            last = due;
            if (due <= performance.now()) {
                act();
            } else {
                setTimeout(act, due - performance.now());
            }
        };
    }

    // Like SIGKILL of the server: every connection closes, new ones are refused. `reset`: with a RST.
    async kill({ reset = false } = {}) {
        const server = this.server;
        this.server = null;
        const closed = server ? new Promise((resolve) => server.close(resolve)) : null;
        for (const pair of this.pairs) {
            for (const socket of pair) {
                if (reset) {
                    resetSocket(socket);
                } else {
                    socket.destroy();
                }
            }
        }
        await closed;
    }

    // Like SIGSTOP: connections are taken, nothing is ever said.
    freeze() {
        this.frozen = true;
        for (const pair of this.pairs) {
            pair.forEach((socket) => socket.pause());
        }
    }

    thaw() {
        this.frozen = false;
        for (const pair of this.pairs) {
            pair.forEach((socket) => socket.resume());
        }
    }

    async revive() {
        this.thaw();
        if (!this.server) {
            await this.listen(this.port);
        }
    }
}
