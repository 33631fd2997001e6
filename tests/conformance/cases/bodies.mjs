// Bodies of answers: how they end, how a client can tell that one did not, and what comes behind them.

import { answer, get, HOST, OK } from '../bytes.mjs';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n';
const FIN = { fin: true };
const RESET = { reset: true };
// Before a reset: what the other side has not read by then may be lost with it.
const had = (body) => ({ until: 'client-body', body });
const HEAD = `HEAD /a HTTP/1.1\r\n${HOST}\r\n`;
const OLD = `GET /a HTTP/1.0\r\n${HOST}\r\n`;
const AS_CHUNKS = `${CHUNKED}2\r\nok\r\n0\r\n\r\n`;
const CLOSING = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
const none = (name, rfc, origin, seen, more = {}, client = get()) => answer(name, rfc, origin, seen, { headless: true, ...more }, client);
// A region that says more than its answer: its connection is closed, and only then is the next request made.
// (Bytes that come once the next request is on its way cannot be told from its answer: docs/http.md.)
const stray = (name, rfc, origin, seen, more = {}, client = get()) =>
    answer(name, rfc, [origin, { until: 'closed' }].flat(), seen, { origin_kept: false, after_origin: true, ...more }, client);
// The client has part of a body, no end of it, and the connection's end.
const cut = (name, rfc, origin, seen, more = {}) => answer(`cut: ${name}`, rfc, origin, seen, { keeps: false, origin_kept: false, ...more });
const badChunks = (name, body, rfc = '9112 7.1') => cut(name, rfc, [`${CHUNKED}2\r\nok\r\n`, { until: 'client-head' }, body], `${CHUNKED}2\r\nok\r\n`);

export const CASES = [
    answer('body: of a length', '9112 6.3', OK, OK, { origin_kept: true }),
    answer('body: of no bytes', '9112 6.3', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', { origin_kept: true }),
    answer('body: in chunks', '9112 7.1', `${CHUNKED}1\r\no\r\n1\r\nk\r\n0\r\n\r\n`, AS_CHUNKS, { origin_kept: true }),
    answer('body: in no chunks', '9112 7.1', `${CHUNKED}0\r\n\r\n`, `${CHUNKED}0\r\n\r\n`, { origin_kept: true }),
    answer('body: in chunks with extensions, dropped', '9112 7.1.1', `${CHUNKED}2;a=b\r\nok\r\n0;c\r\n\r\n`, AS_CHUNKS, { origin_kept: true }),
    answer('body: Transfer-Encoding in another case', '9112 7.1', 'HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked \r\n\r\n2\r\nok\r\n0\r\n\r\n', AS_CHUNKS, { origin_kept: true }),
    answer('body: until the end of the connection', '9112 6.3', ['HTTP/1.1 200 OK\r\n\r\nok', FIN], AS_CHUNKS, { origin_kept: false }),
    answer('body: until the end, of HTTP/1.0', '9112 6.3', ['HTTP/1.0 200 OK\r\n\r\nok', FIN], AS_CHUNKS, { origin_kept: false }),
    answer('body: until the end, of no bytes', '9112 6.3', ['HTTP/1.1 200 OK\r\n\r\n', FIN], `${CHUNKED}0\r\n\r\n`, { origin_kept: false }),
    answer('body: until the end, with keep-alive claimed', '9112 6.3', ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok', FIN], AS_CHUNKS, { origin_kept: false }),
    answer('body: chunks to an HTTP/1.0 client', '9112 7', `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, `${CLOSING}ok`, { keeps: false }, OLD),
    answer('body: chunks to an HTTP/1.0 client with keep-alive', '9112 7', `${CHUNKED}2\r\nok\r\n0\r\n\r\n`, `${CLOSING}ok`, { keeps: false }, OLD.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n')),
    answer('body: until the end to an HTTP/1.0 client', '9112 6.3', ['HTTP/1.1 200 OK\r\n\r\nok', FIN], `${CLOSING}ok`, { keeps: false }, OLD),
    answer('body: with heads and chunks in it', '9112 6.3', `HTTP/1.1 200 OK\r\nContent-Length: ${OK.length + 5}\r\n\r\n0\r\n\r\n${OK}`, `HTTP/1.1 200 OK\r\nContent-Length: ${OK.length + 5}\r\n\r\n0\r\n\r\n${OK}`, { origin_kept: true }),

    none('HEAD: with a length', '9110 9.3.2', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', { origin_kept: true }, HEAD),
    none('HEAD: without a length', '9110 9.3.2', 'HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', { origin_kept: true }, HEAD),
    none('HEAD: with Transfer-Encoding', '9112 6.1', CHUNKED, 'HTTP/1.1 200 OK\r\n\r\n', { origin_kept: true }, HEAD),
    stray('HEAD: with a body that must not be there', '9110 9.3.2', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', { headless: true }, HEAD),
    stray('HEAD: with chunks that must not be there', '9110 9.3.2', AS_CHUNKS, 'HTTP/1.1 200 OK\r\n\r\n', { headless: true }, HEAD),
    none('HEAD: with a body that comes later', '9110 9.3.2', ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', { until: 'client-head' }, 'ok', { until: 'closed' }], 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', { origin_kept: false, after_origin: true }, HEAD),
    none('HEAD: with two lengths', '9112 6.3', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n', undefined, { status: 503, origin_kept: false }, HEAD),
    none('204', '9110 15.3.5', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n', { origin_kept: true }),
    none('204 with Content-Length: 0, which is taken out', '9110 8.6', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n', { origin_kept: true }),
    answer('204 with a length', '9110 15.3.5', 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok', undefined, { status: 503, origin_kept: false }),
    answer('204 with chunks', '9112 6.1', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', undefined, { status: 503, origin_kept: false }),
    stray('204 with a body nobody announced', '9110 15.3.5', 'HTTP/1.1 204 No Content\r\n\r\nok', 'HTTP/1.1 204 No Content\r\n\r\n', { headless: true }),
    none('304', '9110 15.4.5', 'HTTP/1.1 304 Not Modified\r\nETag: "1-a"\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nETag: "1-a"\r\n\r\n', { origin_kept: true }),
    none('304 with the length of what it stands for', '9110 8.6', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', { origin_kept: true }),
    stray('304 with a body that must not be there', '9110 15.4.5', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n', { headless: true }),

    cut('within a length', '9112 8', [`${LENGTH}abc`, { until: 'client-head' }, FIN], `${LENGTH}abc`),
    cut('within a length, by a reset', '9112 8', [`${LENGTH}abc`, had('abc'), RESET], `${LENGTH}abc`),
    cut('before the first byte of a length', '9112 8', [LENGTH, { until: 'client-head' }, FIN], LENGTH),
    cut('within a chunk', '9112 8', [`${CHUNKED}2\r\nok\r\n9\r\nabc`, { until: 'client-head' }, FIN], `${CHUNKED}5\r\nokabc\r\n`),
    cut('between two chunks', '9112 8', [`${CHUNKED}2\r\nok\r\n`, { until: 'client-head' }, FIN], `${CHUNKED}2\r\nok\r\n`),
    cut('between two chunks, by a reset', '9112 8', [`${CHUNKED}2\r\nok\r\n`, had('ok'), RESET], `${CHUNKED}2\r\nok\r\n`),
    cut('before the last empty line', '9112 8', [`${CHUNKED}2\r\nok\r\n0\r\n`, { until: 'client-head' }, FIN], `${CHUNKED}2\r\nok\r\n`),
    cut('within trailers', '9112 8', [`${CHUNKED}2\r\nok\r\n0\r\nX: `, { until: 'client-head' }, FIN], `${CHUNKED}2\r\nok\r\n`),
    cut('a body without an end, by a reset', '9112 8', ['HTTP/1.1 200 OK\r\n\r\nok', had('ok'), RESET], `${CHUNKED}2\r\nok\r\n`),
    { ...cut('chunks to an HTTP/1.0 client', '9112 8', [`${CHUNKED}2\r\nok\r\n`, had('ok'), FIN], `${CLOSING}ok`, { ends: 'rst' }), client: OLD },
    { ...cut('a length to an HTTP/1.0 client', '9112 8', [`${LENGTH}abc`, { until: 'client-head' }, FIN], `${LENGTH.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}abc`), client: OLD },
    { ...cut('a request behind one that was cut is not answered', '9112 8', [`${LENGTH}abc`, { until: 'client-head' }, FIN], `${LENGTH}abc`), client: get() + get('', '/smuggled') },

    badChunks('chunk size that is none', 'zz\r\nabc\r\n0\r\n\r\n'),
    badChunks('chunk size negative', '-1\r\nabc\r\n0\r\n\r\n'),
    badChunks('chunk size with 0x', '0x3\r\nabc\r\n0\r\n\r\n'),
    badChunks('chunk size with a space', '3 \r\nabc\r\n0\r\n\r\n'),
    badChunks('chunk size past all numbers', '10000000000000003\r\nabc\r\n0\r\n\r\n'),
    badChunks('bare LF behind a chunk size', '3\nabc\r\n0\r\n\r\n', '9112 2.2'),
    badChunks('bare LF behind the last chunk', '0\n\n', '9112 2.2'),
    badChunks('NUL in an extension', '3;\x00\r\nabc\r\n0\r\n\r\n', '9112 7.1.1'),
    badChunks('bare CR in an extension', '3;a\rb\r\nabc\r\n0\r\n\r\n', '9112 7.1.1'),
    badChunks('folded trailer', '0\r\nX: 1\r\n 2\r\n\r\n', '9112 7.1.2'),
    badChunks('trailer without a colon', '0\r\nX\r\n\r\n', '9112 7.1.2'),
    badChunks('trailers that are another answer', `0\r\n${OK}`, '9112 7.1.2'),
    { ...badChunks('trailers past the limit', `0\r\n${'X: 1234567890\r\n'.repeat(400)}\r\n`, '9112 7.1.2'), whole: true },
    cut('chunk longer than it says', '9112 7.1', [`${CHUNKED}2\r\nok`, { until: 'client-head' }, 'xx\r\n0\r\n\r\n'], `${CHUNKED}2\r\nok\r\n`),

    // Bytes behind the end: no client ever sees them.
    stray('behind: another answer in the same write', '9112 6.3', OK + OK.replace('ok', 'NO'), OK, { lacks: [/NO/] }),
    stray('behind: one byte', '9112 6.3', `${OK}x`, OK),
    stray('behind: CR LF', '9112 6.3', `${OK}\r\n`, OK),
    stray('behind: after chunks', '9112 6.3', `${AS_CHUNKS}${OK.replace('ok', 'NO')}`, AS_CHUNKS, { lacks: [/NO/] }),
    stray('behind: more than the length', '9112 6.3', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokok', OK),
    answer('behind: another answer while idle', '9112 9.3', [OK, { until: 'client-answer' }, OK.replace('ok', 'NO'), { until: 'closed' }], OK, { origin_kept: false, after_origin: true, lacks: [/NO/] }),
    answer('behind: garbage while idle', '9112 9.3', [OK, { until: 'client-answer' }, '\x00\xff', { until: 'closed' }], OK, { origin_kept: false, after_origin: true }),
    answer('behind: 408 while idle, and the end', '9112 9.3', [OK, { until: 'client-answer' }, 'HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', FIN, { until: 'closed' }], OK, { origin_kept: false, after_origin: true }),
    answer('behind: 100 while idle', '9112 9.3', [OK, { until: 'client-answer' }, 'HTTP/1.1 100 Continue\r\n\r\n', { until: 'closed' }], OK, { origin_kept: false, after_origin: true }),
    answer('behind: the end of the connection', '9112 9.5', [OK, { until: 'client-answer' }, FIN, { until: 'closed' }], OK, { origin_kept: false, after_origin: true }),
    answer('behind: a reset', '9112 9.5', [OK, { until: 'client-answer' }, RESET, { until: 'closed' }], OK, { origin_kept: false, after_origin: true }),
];
