// Limits, on both sides of their border. The suite's: head 4096 bytes, target 1024, 16 fields, body 4096; in the
// "short" proxy 700 ms for heads and bodies, 900 ms between requests; in the "mute" one 700 ms for answers; in the "strict" proxy 1000 bytes a second,
// measured over one second, and two requests a connection; in the "full" proxy three connections, two an address, and
// one to the region; in that with a "line" 2100 ms in it.

import { accept, chunked, forwarded, get, HOST, OK, put, refuse, TE } from '../bytes.mjs';

const padded = (bytes) => {
    const head = get('X: \r\n');
    return get(`X: ${'x'.repeat(bytes - head.length)}\r\n`);
};
const target = (bytes) => `/${'t'.repeat(bytes - 1)}`;
const whole = (kase) => ({ ...kase, whole: true });
const late = (kase) => ({ ...kase, proxy: 'short', alone: true });
const mute = (kase) => ({ ...kase, proxy: 'mute', alone: true });
const strict = (kase) => ({ ...kase, proxy: 'strict', alone: true });
const crowded = (kase) => ({ ...kase, proxy: 'full', alone: true });
// The region's only connection is taken until the client has been answered.
const HELD = [{ until: 'client-answer' }, OK];
const slow = (name, client) => strict({ name, rfc: '9110 15.5.9', client, expect: { refused: 408, seen_whole: 0, has: [/arrived too slowly/] } });
const LAST = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';
const lines = (n) => Array.from({ length: n }, (_, i) => `X${i}: 1\r\n`).join('');

export const CASES = [
    whole(accept('a head of 4096 bytes', '9110 5.4', padded(4096), forwarded('GET /a', { fields: /X: x+\r\n/.exec(padded(4096))[0] }))),
    whole(refuse(431, 'a head of 4097 bytes', '6585 5', padded(4097))),
    whole(refuse(431, 'a head of a hundred thousand bytes', '6585 5', padded(100_000))),
    { ...whole(refuse(431, 'a head without end', '6585 5', `GET /a HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}`)), alone: true },
    whole(accept('a target of 1024 bytes', '9112 3', get('', target(1024)), forwarded(`GET ${target(1024)}`))),
    whole(refuse(414, 'a target of 1025 bytes', '9110 15.5.15', get('', target(1025)))),
    whole(refuse(414, 'a target past the limit of a head', '9110 15.5.15', get('', target(5_000)))),
    { ...whole(refuse(414, 'a request line without end', '9110 15.5.15', `GET /${'t'.repeat(20_000)}`)), alone: true },
    whole(refuse(414, 'a target of 1025 bytes of HEAD: no body', '9110 9.3.2', get('', target(1025)).replace('GET', 'HEAD'), { headless: true })),
    whole(refuse(414, 'a target of HEAD past the limit of a head: no body', '9110 9.3.2', get('', target(5_000)).replace('GET', 'HEAD'), { headless: true })),
    refuse(505, 'a HEAD of a version nobody speaks: no body', '9110 9.3.2', `HEAD /a HTTP/2.0\r\n${HOST}\r\n`, { headless: true }),
    refuse(400, 'a HEAD whose line has two spaces: no body', '9110 9.3.2', `HEAD  /a HTTP/1.1\r\n${HOST}\r\n`, { headless: true }),
    refuse(501, 'what only begins like HEAD has a body', '9110 9.3.2', `HEADS /a HTTP/1.1\r\n${HOST}\r\n`),
    late(refuse(408, 'a line of HEAD that stops: no body', '9110 9.3.2', 'HEAD /a', { headless: true })),
    accept('16 fields', '9110 5.4', get(lines(15)), forwarded('GET /a', { fields: lines(15) })),
    refuse(431, '17 fields', '6585 5', get(lines(16))),
    whole(accept('a body of 4096 bytes', '9110 15.5.14', put('Content-Length: 4096\r\n', 'x'.repeat(4096)), forwarded('PUT /a', { framing: 'Content-Length: 4096\r\n', body: 'x'.repeat(4096) }))),
    refuse(413, 'a body that says 4097 bytes', '9110 15.5.14', put('Content-Length: 4097\r\n', 'x')),
    whole(accept('chunks of 4096 bytes', '9110 15.5.14', chunked(`1000\r\n${'x'.repeat(4096)}\r\n0\r\n\r\n`), forwarded('PUT /a', { framing: TE, body: `1000\r\n${'x'.repeat(4096)}\r\n0\r\n\r\n` }))),
    { name: 'chunks of 4097 bytes', rfc: '9110 15.5.14', whole: true, client: chunked(`1001\r\n${'x'.repeat(4097)}\r\n0\r\n\r\n`), expect: { refused: 413, seen_whole: 0 } },
    { name: 'a chunk that says too much', rfc: '9110 15.5.14', whole: true, alone: true, client: chunked(`ffffffffffffffff\r\n${'x'.repeat(5_000)}`), expect: { refused: 413, seen_whole: 0 } },

    late(refuse(408, 'a head that stops', '9110 15.5.9', 'GET /a HTTP/1.1\r\nHost: h\r\nX: ')),
    late(refuse(408, 'a request line that stops', '9110 15.5.9', 'GET /a')),
    late(refuse(408, 'a head without its last LF', '9110 15.5.9', get().slice(0, -1))),
    late({ name: 'a body that stops', rfc: '9110 15.5.9', client: put('Content-Length: 9\r\n', '{"a"'), expect: { refused: 408, seen_whole: 0 } }),
    late({ name: 'chunks that stop', rfc: '9110 15.5.9', client: chunked('9\r\n{"a"'), expect: { refused: 408, seen_whole: 0 } }),
    late({ name: 'trailers that stop', rfc: '9110 15.5.9', client: chunked('2\r\n{}\r\n0\r\nX: '), expect: { refused: 408, seen_whole: 0 } }),
    late({ name: 'a connection on which nothing is asked', rfc: '9112 9.5', client: [], expect: { silent: true, seen: [] } }),
    late({ name: 'a connection on which nothing more is asked', rfc: '9112 9.5', client: get(), expect: { keeps: false, seen: [forwarded('GET /a')] } }),
    late({ name: 'empty lines and nothing behind them are no request', rfc: '9112 2.2', client: '\r\n\r\n', expect: { silent: true, seen: [] } }),
    late({ name: 'an empty line after an answer is no request', rfc: '9112 2.2', client: `${put('Content-Length: 2\r\n', '{}')}\r\n`, expect: { keeps: false, answer: OK } }),
    mute({ name: 'a region that says nothing', rfc: '9110 15.6.5', client: get(), origin: [{ until: 'closed' }], expect: { status: 503, origin_kept: false } }),
    mute({ name: 'a region that stops within its head', rfc: '9110 15.6.5', client: get(), origin: ['HTTP/1.1 200 OK\r\nContent-', { until: 'closed' }], expect: { status: 503, origin_kept: false } }),
    mute({ name: 'a region that stops within its body', rfc: '9112 8', client: get(), origin: ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', { until: 'closed' }], expect: { answer: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', keeps: false, origin_kept: false } }),
    mute({ name: 'a region that stops after an interim answer', rfc: '9110 15.2', client: get(), origin: ['HTTP/1.1 103 Early Hints\r\n\r\n', { until: 'closed' }], expect: { status: 503, origin_kept: false } }),

    slow('a body below the least rate', put('Content-Length: 900\r\n', 'x'.repeat(800))),
    slow('chunks below the least rate', chunked('9\r\n{"a"')),
    slow('a body that is not begun, below the least rate', put('Content-Length: 900\r\n')),
    slow('trailers below the least rate', chunked('2\r\n{}\r\n0\r\nX: ')),
    strict({ name: 'the last request that a connection may carry', rfc: '9112 9.6', client: [get(), { until: 'head' }, get('', '/b')], expect: { answer: OK + LAST, keeps: false, seen: [forwarded('GET /a'), forwarded('GET /b')] } }),
    strict({ name: 'a request behind the last one of its connection is not begun', rfc: '9112 9.6', client: get() + get('', '/b') + get('', '/c'), expect: { answer: OK + LAST, keeps: false, seen: [forwarded('GET /a'), forwarded('GET /b')] } }),

    crowded({ name: 'a connection past those that there may be', rfc: '9110 15.6.4', from: '127.0.0.3', beside: [{}, {}, { from: '127.0.0.2' }], client: get(), expect: { refused: 503, seen: [], has: [/"too_many_connections"/, /\r\nRetry-After: 1\r\n/] } }),
    crowded({ name: 'a connection past those that its address may have', rfc: '6585 4', beside: [{}, {}], client: get(), expect: { refused: 429, seen: [], has: [/"too_many_connections"/, /\r\nRetry-After: 1\r\n/] } }),
    crowded({ name: 'the last connection that there may be, of another address', rfc: '6585 4', from: '127.0.0.2', beside: [{}, {}], client: get(), expect: { seen: [forwarded('GET /a', { xff: '127.0.0.2' })] } }),
    crowded({ name: 'a request for which there is neither a connection nor a place in line', rfc: '9110 15.6.4', beside: [{ asks: '/held' }], client: get('Connection: close\r\n'), origin: HELD, expect: { status: 503, keeps: false, seen: [forwarded('GET /held')], has: [/"overloaded"/, /\r\nRetry-After: 1\r\n/] } }),
    { ...crowded({ name: 'a request in line for longer than it may be', rfc: '9110 15.6.4', beside: [{ asks: '/held' }], client: get(), origin: HELD, expect: { status: 503, seen: [forwarded('GET /held')], has: [/"overloaded"/, /\r\nRetry-After: 1\r\n/, /came free in time/], lacks: [/Connection: close/] } }), proxy: 'line' },

    late({ name: 'a body that is not begun', rfc: '9110 15.5.9', client: put('Content-Length: 9\r\n'), expect: { refused: 408, seen_whole: 0 } }),
    mute({ name: 'a region that says nothing to an expectation', rfc: '9110 10.1.1', client: put('Expect: 100-continue\r\nContent-Length: 2\r\n'), origin: [{ until: 'closed' }], expect: { status: 503, keeps: false, unfinished: true } }),
    late({ name: 'a body that does not come although it may', rfc: '9110 10.1.1', client: put('Expect: 100-continue\r\nContent-Length: 2\r\n'), origin_early: true, origin: ['HTTP/1.1 100 Continue\r\n\r\n', { until: 'closed' }], expect: { status: 408, keeps: false, seen_whole: 0 } }),
];
