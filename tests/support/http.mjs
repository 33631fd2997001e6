// The smallest HTTP client that serves: node's own, without redirects, retries or opinions.

import http from 'node:http';
import { LIMIT_MS } from './wait.mjs';

// One request, on a connection of its own unless there is an agent. `url` may carry credentials. Gives {status, headers, body (Buffer), text, json} or throws
// what the socket threw.
export function request(url, { method = 'GET', headers = {}, body, json, agent = false, signal, limit_ms = LIMIT_MS } = {}) {
    const at = new URL(url);
    const payload = json === undefined ? body : JSON.stringify(json);
    const all = { ...headers };
    if (json !== undefined) {
        all['content-type'] ??= 'application/json';
    }
    if (payload !== undefined && all['transfer-encoding'] === undefined) {
        all['content-length'] ??= Buffer.byteLength(payload);
    }
    all.accept ??= 'application/json';
    return new Promise((resolve, fail) => {
        const reject = (error) => {
            clearTimeout(timer);
            fail(error);
        };
        const req = http.request(
            {
                host: at.hostname,
                port: at.port,
                path: at.pathname + at.search,
                auth: at.username ? `${decodeURIComponent(at.username)}:${decodeURIComponent(at.password)}` : undefined,
                method,
                headers: all,
                agent,
                signal,
            },
            (res) => {
                const parts = [];
                res.on('data', (part) => parts.push(part));
                res.on('error', reject);
                res.on('end', () => {
                    clearTimeout(timer);
                    const whole = Buffer.concat(parts);
                    resolve({
                        status: res.statusCode,
                        headers: res.headers,
                        body: whole,
                        get text() {
                            return whole.toString();
                        },
                        get json() {
                            return JSON.parse(whole.toString());
                        },
                    });
                });
            },
        );
        const timer = setTimeout(() => req.destroy(new Error(`no whole answer in ${limit_ms} ms: ${method} ${url}`)), limit_ms);
        req.on('error', reject);
        req.end(payload);
    });
}

// The same, but anything else than one of the expected statuses throws. Gives the parsed JSON.
export async function couch(url, options = {}, expected = [200, 201, 202]) {
    const answer = await request(url, options);
    if (!expected.includes(answer.status)) {
        throw new Error(`${options.method ?? 'GET'} ${url}: ${answer.status} ${answer.text}`);
    }
    return answer.body.length === 0 ? null : answer.json;
}
