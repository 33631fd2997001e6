// Large bodies stream through: whole, unchanged, and without filling the proxy's memory.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl } from '../support/region.mjs';
import { pattern, patternHash, ScriptedRegion } from '../support/scripted_region.mjs';
import { useRegions } from '../support/suite.mjs';
import { LIMIT_MS, within } from '../support/wait.mjs';

const MIB = 1 << 20;
const GROWTH = 32 * MIB;

const suite = useRegions(1);

// pouchdb-server does nothing else while it digests a large attachment, for many seconds: that is not what
// is tested here.
const patient = calm({
    timeouts: { answer_ms: 600_000, stall_ms: 600_000, body_ms: 600_000 },
    probe: { interval_ms: 60_000, fast_interval_ms: 60_000, fall: 100 },
});

function* bytes(total) {
    const unit = pattern(251 * 256);
    for (let left = total; left > 0; left -= unit.length) {
        yield left < unit.length ? unit.subarray(0, left) : unit;
    }
}

// One request with a streamed body; the answer's body is hashed, not kept.
function stream(url, { method, headers = {}, body }) {
    const at = new URL(url);
    return within(`${method} ${url}`, new Promise((resolve, reject) => {
        const req = http.request(
            {
                host: at.hostname,
                port: at.port,
                path: at.pathname + at.search,
                auth: at.username ? `${at.username}:${at.password}` : undefined,
                method,
                headers,
            },
            (res) => {
                const hash = createHash('sha256');
                let length = 0;
                let text = '';
                res.on('data', (part) => {
                    hash.update(part);
                    length += part.length;
                    text = length < 4_096 ? text + part : text;
                });
                res.on('error', reject);
                res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, length, sha256: hash.digest('hex'), text }));
            },
        );
        req.on('error', reject);
        if (body) {
            body.pipe(req);
        } else {
            req.end();
        }
    }), 3 * LIMIT_MS);
}

// Run `work` and check what the proxy's memory did meanwhile (the sanitizers' own memory says nothing).
async function bounded(proxy, t, work) {
    const before = proxy.child.memory();
    let peak = before;
    const look = setInterval(() => {
        peak = Math.max(peak, proxy.child.memory());
    }, 10);
    try {
        await work();
    } finally {
        clearInterval(look);
    }
    t.diagnostic(`proxy memory: ${Math.round(before / 1024)} KiB, at most ${Math.round(peak / 1024)} KiB`);
    if (!proxy.sanitized) {
        assert.ok(peak - before < GROWTH, `memory grew by ${peak - before} bytes`);
    }
}

for (const [title, full, framings] of [
    ['1 MiB', MIB, ['content-length', 'chunked']],
    ['64 MiB', 64 * MIB, ['chunked']], // once: it is slow in pouchdb-server
]) {
    for (const framing of framings) {
        test(
            `an attachment of ${title}, sent with ${framing}`,
            withProxy(() => suite.regions, patient, async (proxy, t) => {
                // Under a sanitizer a smaller one will do; what is large goes to the scripted region below.
                const size = proxy.sanitized ? Math.min(full, 8 * MIB) : full;
                const target = `${clientUrl(suite.regions[0], proxy.origin)}/${suite.db}/att-${framing}-${size}/data.bin`;
                const headers = { 'content-type': 'application/octet-stream' };
                if (framing === 'content-length') {
                    headers['content-length'] = size;
                }
                await bounded(proxy, t, async () => {
                    const put = await stream(target, { method: 'PUT', headers, body: Readable.from(bytes(size)) });
                    assert.equal(put.status, 201, put.text);
                    const got = await stream(target, { method: 'GET' });
                    assert.equal(got.status, 200);
                    assert.equal(got.length, size);
                    assert.equal(got.sha256, patternHash(size));
                });
            }),
        );
    }
}

test('64 MiB both ways at once, at the speed of the slower side', async (t) => {
    // The real servers store what they are sent and set the pace; this region does neither.
    const region = await ScriptedRegion.start();
    const size = 64 * MIB;
    const sum = patternHash(size);
    region.on(/^GET \/db\/big/, [`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`, { pattern: size }]);
    region.on(/^PUT \/db\/big/, (request) => [
        `HTTP/1.1 201 Created\r\nContent-Length: ${request.sha256.length}\r\n\r\n${request.sha256}`,
    ]);
    await withProxy([region], patient, async (proxy) => {
        await bounded(proxy, t, async () => {
            const url = `${proxy.origin}/db/big`;
            const [up, down] = await Promise.all([
                stream(url, { method: 'PUT', headers: { 'content-length': size }, body: Readable.from(bytes(size)) }),
                stream(url, { method: 'GET' }),
            ]);
            assert.equal(up.text, sum);
            assert.equal(down.sha256, sum);
        });
    })(t);
    await region.close();
});
