// A raw HTTP/1.1 connection, for tests that must say and see exact bytes.
//
// What came is parsed strictly and without mercy: no header is joined or trimmed away, a body that is not
// framed to its end is told as incomplete, and bytes where a chunk size was due are kept.

import net from 'node:net';
import { LIMIT_MS, within } from './wait.mjs';

const CRLF2 = Buffer.from('\r\n\r\n');

// The first response in `bytes`. null: not all there yet. `closed`: nothing more will come. `headless`: the
// request was HEAD, so there is no body whatever the head says.
//   {status, line, headers: [[name, value]], framing, complete, body, chunks, trailers, notAChunk, length}
export function parseResponse(bytes, { closed = false, headless = false } = {}) {
    const headEnd = bytes.indexOf(CRLF2);
    if (headEnd < 0) {
        return null;
    }
    const [line, ...rows] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
    const found = /^HTTP\/1\.[01] (\d{3}) /.exec(`${line} `);
    if (!found) {
        return null;
    }
    const response = {
        status: Number(found[1]),
        line,
        headers: rows.map((row) => {
            const colon = row.indexOf(':');
            return [row.slice(0, colon), row.slice(colon + 1).trim()];
        }),
        header(name) {
            const row = this.headers.find(([key]) => key.toLowerCase() === name.toLowerCase());
            return row?.[1];
        },
        get text() {
            return this.body.toString();
        },
        get json() {
            return JSON.parse(this.text);
        },
        framing: 'none',
        complete: true,
        body: Buffer.alloc(0),
        chunks: [],
        trailers: [],
        notAChunk: null,
    };
    const start = headEnd + 4;
    const length = response.header('content-length');
    if (headless || response.status < 200 || response.status === 204 || response.status === 304) {
        response.length = start;
        return response;
    }
    if ((response.header('transfer-encoding') ?? '').toLowerCase() === 'chunked') {
        response.framing = 'chunked';
        return parseChunks(bytes, start, response, closed);
    }
    if (length !== undefined) {
        response.framing = 'content-length';
        const have = Math.min(bytes.length - start, Number(length));
        response.complete = have === Number(length);
        response.body = bytes.subarray(start, start + have);
        response.length = start + have;
    } else {
        response.framing = 'close';
        response.complete = closed;
        response.body = bytes.subarray(start);
        response.length = bytes.length;
    }
    return response.complete || closed ? response : null;
}

function parseChunks(bytes, start, response, closed) {
    const parts = [];
    let at = start;
    response.complete = false;
    for (;;) {
        const eol = bytes.indexOf('\r\n', at);
        const line = eol < 0 ? null : bytes.subarray(at, eol).toString('latin1');
        if (line !== null && !/^[0-9a-fA-F]+$/.test(line)) {
            response.notAChunk = bytes.subarray(at);
            at = bytes.length;
            break;
        }
        if (line === null) {
            break;
        }
        const size = parseInt(line, 16);
        if (size === 0) {
            const end = bytes.indexOf('\r\n', eol + 2) === eol + 2 ? eol + 2 : bytes.indexOf(CRLF2, eol + 2) + 2;
            if (end >= eol + 2) {
                response.trailers = bytes.subarray(eol + 2, end).toString('latin1').split('\r\n').filter(Boolean);
                response.complete = true;
                at = end + 2;
            }
            break;
        }
        if (bytes.length < eol + 2 + size + 2) {
            parts.push(bytes.subarray(eol + 2, eol + 2 + size));
            at = bytes.length;
            break;
        }
        parts.push(bytes.subarray(eol + 2, eol + 2 + size));
        response.chunks.push(size);
        at = eol + 2 + size + 2;
    }
    response.body = Buffer.concat(parts);
    response.length = at;
    return response.complete || closed || response.notAChunk ? response : null;
}

export class Wire {
    static async connect(port, { host = '127.0.0.1', ...options } = {}) {
        const wire = new Wire(net.connect({ port, host, ...options }));
        await within('a connection', new Promise((resolve, reject) => {
            wire.socket.once('connect', resolve);
            wire.socket.once('error', reject);
        }));
        return wire;
    }

    constructor(socket) {
        this.socket = socket;
        this.bytes = Buffer.alloc(0);
        this.how = 'open';
        this.waiting = new Set();
        socket.setNoDelay(true);
        socket.on('data', (bytes) => {
            this.bytes = Buffer.concat([this.bytes, bytes]);
            this.wake();
        });
        socket.on('end', () => {
            this.how = 'fin';
            this.wake();
        });
        socket.on('error', (error) => {
            this.how = error.code === 'ECONNRESET' ? 'rst' : error.code;
            this.wake();
        });
        socket.on('close', () => {
            this.how = this.how === 'open' ? 'closed' : this.how;
            this.wake();
        });
    }

    wake() {
        for (const look of [...this.waiting]) {
            look();
        }
    }

    get closed() {
        return this.how !== 'open';
    }

    // The first truthy thing that `look` gives, asked again whenever something happened on the connection.
    when(what, look, limit_ms = LIMIT_MS) {
        let poll;
        const seen = new Promise((resolve) => {
            poll = () => {
                const got = look();
                if (got) {
                    resolve(got);
                }
            };
            this.waiting.add(poll);
            poll();
        });
        const told = `${what}; so far: ${JSON.stringify(this.bytes.subarray(0, 400).toString('latin1'))} ${this.how}`;
        return within(told, seen, limit_ms).finally(() => this.waiting.delete(poll));
    }

    send(bytes) {
        if (!this.socket.destroyed) {
            this.socket.write(bytes);
        }
        return this;
    }

    // The next response; its bytes are taken off. Throws when the connection ends before one head was there.
    async response({ headless = false, limit_ms } = {}) {
        const got = await this.when(
            'a response',
            () => {
                const response = parseResponse(this.bytes, { closed: this.closed, headless });
                return response ?? (this.closed && 'none');
            },
            limit_ms,
        );
        if (got === 'none') {
            throw new Error(`the connection ended (${this.how}) without a response: ${JSON.stringify(this.bytes.toString('latin1').slice(0, 200))}`);
        }
        this.bytes = this.bytes.subarray(got.length);
        return got;
    }

    // Wait until so much text is there that it matches; takes nothing off.
    async text(pattern, limit_ms) {
        return this.when(`text like ${pattern}`, () => pattern.exec(this.bytes.toString('latin1')), limit_ms);
    }

    // Wait for the other side's end: 'fin' or 'rst'.
    end(limit_ms) {
        return this.when('the end of the connection', () => this.closed && this.how, limit_ms);
    }

    destroy() {
        this.socket.destroy();
    }
}
