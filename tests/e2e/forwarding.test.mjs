// What a request and an answer look like on the other side of the proxy.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { withProxy } from '../support/proxy.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Wire } from '../support/wire.mjs';

let region;

before(async () => {
    region = await ScriptedRegion.start();
});
beforeEach(() => {
    region.rules.length = 0;
    region.requests.length = 0;
    region.on(/ \//, [answer(200, { ok: true })]);
});
after(() => region.close());

const proxied = (body, over = {}) => withProxy(() => [region], calm(over), body);

// What the region saw of this request, and what the client saw of the answer.
async function exchange(proxy, head, body = '') {
    const wire = await Wire.connect(proxy.port);
    wire.send(`${head.join('\r\n')}\r\n\r\n${body}`);
    const got = await wire.response();
    wire.destroy();
    return { asked: region.requests.at(-1), got };
}

test(
    'targets are forwarded byte for byte',
    proxied(async (proxy) => {
        for (const target of [
            '/db/a%2Fb',
            '/db/a%2fb',
            '/db/a+b',
            '/db/a%2Bb',
            '/db/%E4%F6?x=%00',
            '/db//a/./b/../c',
            "/db/_design/x/_view/y?key=%22a%22&startkey=[1,{}]&x='|^`",
            '/db/_all_docs?keys=["a","b"]',
            '/?',
            '/db/?a=b?c=d',
        ]) {
            const { asked } = await exchange(proxy, [`GET ${target} HTTP/1.1`, 'Host: h']);
            assert.equal(asked.target, target);
        }
    }),
);

test(
    'headers: what a region gets',
    proxied(async (proxy) => {
        const { asked } = await exchange(proxy, [
            'PUT /db/a HTTP/1.1',
            'Host: couch.example:8984',
            'Authorization: Basic YTpi',
            'Cookie: AuthSession=x',
            'X-Custom: one',
            'X-Custom: two',
            'X-CaSe: kept',
            'Accept-Encoding: gzip, br',
            'Content-Encoding: identity',
            'Connection: keep-alive, X-Hop',
            'Keep-Alive: timeout=5',
            'X-Hop: must go',
            'TE: gzip',
            'Proxy-Authorization: Basic secret',
            'Upgrade: websocket',
            'X-Forwarded-For: 203.0.113.9',
            'Content-Type: application/json',
            'Content-Length: 2',
        ], '{}');
        const { headers } = asked;
        assert.equal(asked.body.toString(), '{}');
        assert.equal(headers.host, new URL(region.origin).host, 'the region\'s own name');
        assert.equal(headers.authorization, 'Basic YTpi');
        assert.equal(headers.cookie, 'AuthSession=x');
        assert.equal(headers['x-custom'], 'one, two');
        assert.match(asked.raw, /\r\nX-CaSe: kept\r\n/);
        assert.equal(headers['accept-encoding'], 'gzip, br');
        assert.equal(headers['content-length'], '2');
        for (const name of ['x-hop', 'keep-alive', 'te', 'proxy-authorization', 'upgrade']) {
            assert.equal(headers[name], undefined, name);
        }
        assert.match(headers['x-request-id'], /^[0-9a-f]{32}$/);
        assert.match(headers.via, /davenport/);
        assert.equal(headers['x-forwarded-host'], 'couch.example:8984');
        assert.equal(headers['x-forwarded-proto'], 'http');
        // CouchDB takes the last hop for the client's address when it counts failed logins.
        assert.equal(headers['x-forwarded-for'].split(',').at(-1).trim(), '127.0.0.1');
    }),
);

test(
    'headers: what a client gets',
    proxied(async (proxy) => {
        region.on('GET /db/a', [
            'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: "1-x"\r\nX-Couch-Request-ID: abc\r\n' +
                'Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: CouchDB/3.4.3\r\n\r\n{}',
        ]);
        const { got } = await exchange(proxy, ['GET /db/a HTTP/1.1', 'Host: h']);
        assert.deepEqual(got.headers.filter(([name]) => name.toLowerCase() === 'set-cookie').map(([, value]) => value), ['a=1', 'b=2']);
        assert.equal(got.header('etag'), '"1-x"');
        assert.equal(got.header('x-couch-request-id'), 'abc');
        assert.equal(got.header('server'), 'CouchDB/3.4.3');
        assert.equal(got.header('x-hop'), undefined);
        assert.equal(got.header('keep-alive'), undefined);
    }),
);

test(
    'bodies: framing is kept in both directions',
    proxied(async (proxy) => {
        const chunked = await exchange(proxy, ['PUT /db/c HTTP/1.1', 'Host: h', 'Transfer-Encoding: chunked'], '3\r\n{"a\r\n4;ext=1\r\n":1}\r\n0\r\n\r\n');
        assert.equal(chunked.asked.body.toString(), '{"a":1}');
        const empty = await exchange(proxy, ['POST /db/_ensure_full_commit HTTP/1.1', 'Host: h', 'Content-Length: 0']);
        assert.equal(empty.asked.headers['content-length'], '0');
        const odd = await exchange(proxy, ['GET /db/g HTTP/1.1', 'Host: h', 'Content-Length: 2'], '{}');
        assert.equal(odd.asked.body.toString(), '{}');
    }),
);

test(
    'methods of CouchDB pass, with whatever they carry',
    proxied(async (proxy) => {
        for (const method of ['DELETE', 'COPY', 'OPTIONS', 'POST']) {
            const head = [`${method} /db/a?rev=1-x HTTP/1.1`, 'Host: h', 'Destination: b', 'X-HTTP-Method-Override: PUT'];
            const { asked, got } = await exchange(proxy, method === 'POST' ? [...head, 'Content-Length: 0'] : head);
            assert.equal(got.status, 200, method);
            assert.equal(asked.method, method);
            assert.equal(asked.headers.destination, 'b');
            assert.equal(asked.headers['x-http-method-override'], 'PUT');
        }
    }),
);

test(
    'connections: kept with the client and with the region',
    proxied(async (proxy) => {
        const wire = await Wire.connect(proxy.port);
        const connectionsBefore = region.accepted;
        for (let i = 0; i < 50; i += 1) {
            wire.send('GET /db/a HTTP/1.1\r\nHost: h\r\n\r\n');
            assert.equal((await wire.response()).status, 200);
        }
        // One after the other needs one; probes have their own.
        const used = await proxy.metric('davenport_region_connections_total');
        assert.ok(used <= 2, `${used} connections to the region for 50 requests`);
        assert.ok(region.accepted >= connectionsBefore);
        wire.send('GET /db/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
        const last = await wire.response();
        assert.equal(last.header('connection'), 'close');
        await wire.end();
        // The client's wish ends at this hop: the region's connection stays.
        const again = await Wire.connect(proxy.port);
        again.send('GET /db/a HTTP/1.1\r\nHost: h\r\n\r\n');
        assert.equal((await again.response()).status, 200);
        assert.ok((await proxy.metric('davenport_region_connections_total')) <= 2);
        again.destroy();
    }),
);
