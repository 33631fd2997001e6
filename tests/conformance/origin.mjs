// A region that keeps every byte it is sent and answers with the bytes of the case that is on.
//
// It trusts nobody: requests are delimited here by their own framing, and what is not a whole request is kept
// as such. Probes are answered and not recorded. GET /after and GET /canary have answers of their own, so that
// an answer which belongs to another request cannot pass for theirs.
//
// Steps of a script: a string; {until: 'whole' | 'client-head' | 'client-answer' | 'closed'}; {until: 'client-body', body}; {fin: true}; {reset: true}.

import net from 'node:net';
import { pickPort, reset } from '../support/sockets.mjs';
import { atExit } from '../support/wait.mjs';
import { AFTER, CANARY, OK } from './bytes.mjs';
import { write } from './stage.mjs';

const UP = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}';

// Where the message that begins with a whole head ends: {end, whole}.
function delimit(text) {
    const start = text.indexOf('\r\n\r\n') + 4;
    const head = text.slice(0, start);
    if (/\r\nTransfer-Encoding: chunked\r\n/.test(head)) {
        let at = start;
        for (;;) {
            const line = /^([0-9a-f]+)\r\n/.exec(text.slice(at));
            if (!line) {
                return { end: text.length, whole: false };
            }
            const size = parseInt(line[1], 16);
            at += line[0].length;
            if (size === 0) { // trailers, then an empty line
                const end = /^(?:[^\r\n]+\r\n)*\r\n/.exec(text.slice(at));
                return { end: end ? at + end[0].length : text.length, whole: end !== null };
            }
            at += size + 2;
            if (at > text.length) {
                return { end: text.length, whole: false };
            }
        }
    }
    const length = Number(/\r\nContent-Length: (\d+)\r\n/.exec(head)?.[1] ?? 0);
    return { end: Math.min(start + length, text.length), whole: text.length >= start + length };
}

export class ExactOrigin {
    static async start(stage) {
        const origin = new ExactOrigin(stage);
        origin.port = await pickPort();
        origin.host = `127.0.0.1:${origin.port}`;
        origin.origin = `http://${origin.host}`;
        origin.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => origin.serve(socket));
        await new Promise((resolve) => origin.server.listen(origin.port, '127.0.0.1', resolve));
        return origin;
    }

    constructor(stage) {
        Object.assign(this, { stage, name: 'origin', probePath: '/_up', kase: null, messages: [], connections: new Set() });
        atExit(() => this.connections.forEach((link) => link.socket.destroy()));
    }

    // From here on: this case's script, and nothing seen yet.
    begin(kase, bytewise, client) {
        Object.assign(this, { kase, bytewise, client, messages: [] });
    }

    // Close what is kept, so that the next request comes on a connection of its own.
    async refresh() {
        const kept = [...this.connections];
        await this.stage.when('every answer to be out', () => kept.every((link) => !link.busy));
        kept.forEach((link) => link.socket.end());
        await this.stage.when('the proxy to close what is kept', () => kept.every((link) => link.closed));
    }

    // What the case itself had sent here, without the requests that the suite adds.
    get seen() {
        return this.messages.filter((message) => !/^GET \/(after|canary) /.test(message.text));
    }

    serve(socket) {
        const link = { socket, text: '', message: null, busy: false, closed: false };
        this.connections.add(link);
        if (this.kase?.greets) {
            socket.write(this.kase.greets, 'latin1');
        }
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
            link.text += bytes.toString('latin1');
            this.look(link);
        });
        const ended = () => {
            link.closed = true;
            this.connections.delete(link);
            this.stage.changed();
            if (!link.busy) {
                socket.end();
            }
        };
        socket.on('end', ended);
        socket.on('close', ended);
    }

    look(link) {
        if (!link.message && link.text.includes('\r\n\r\n')) {
            link.message = { link, text: '', whole: false };
            if (!link.text.startsWith('GET /_up ')) {
                this.messages.push(link.message);
            }
            link.fresh = true;
        }
        if (link.message && !link.message.whole) {
            const { end, whole } = delimit(link.text);
            link.message.text = link.text.slice(0, end);
            link.message.whole = whole;
        }
        this.stage.changed();
        if (link.message && link.fresh && (link.message.whole || this.kase?.origin_early)) {
            link.fresh = false;
            this.answer(link).catch(() => link.socket.destroy());
        }
    }

    script(message) {
        const target = message.text.split(' ')[1];
        const own = { '/_up': [UP], '/after': [AFTER], '/canary': [CANARY] }[target];
        return own ?? this.kase?.origin ?? [OK];
    }

    async answer(link) {
        const { message } = link;
        link.busy = true;
        for (const step of this.script(message)) {
            if (typeof step === 'string') {
                await write(link.socket, step, this.bytewise);
            } else if (step.until === 'whole') {
                await this.stage.when('the whole request', () => message.whole);
            } else if (step.until === 'client-head') {
                await this.stage.when('the client to see a head', () => this.client.text.includes('\r\n\r\n'));
            } else if (step.until === 'client-answer') {
                await this.stage.when('the client to have its answer', () => this.client?.parsed(this.kase?.expect.headless));
            } else if (step.until === 'client-body') {
                await this.stage.when(`the client to see ${step.body}`, () => this.client.bodySoFar() === step.body);
            } else if (step.until === 'closed') {
                await this.stage.when('the proxy to close its connection', () => link.closed);
            } else if (step.fin) {
                link.socket.end();
            } else if (step.reset) {
                reset(link.socket);
            } else {
                throw new Error(`unknown step ${JSON.stringify(step)}`);
            }
        }
        await this.stage.when('the whole request, after its answer', () => message.whole || link.closed);
        link.busy = false;
        this.stage.changed();
        if (link.closed) {
            link.socket.end();
            return;
        }
        link.text = link.text.slice(message.text.length);
        link.message = null;
        this.look(link);
    }

    close() {
        this.connections.forEach((link) => link.socket.destroy());
        return new Promise((resolve) => this.server.close(resolve));
    }
}
