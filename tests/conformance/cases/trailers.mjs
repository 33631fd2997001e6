// Fields behind a body that are well formed: which are passed on, and to whom.

import { accept, answer, chunked, forwarded, get, HOST, TE } from '../bytes.mjs';

const TAKES = 'TE: trailers\r\nConnection: TE\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n';
const body = (trailers) => `2\r\n{}\r\n0\r\n${trailers}\r\n`;

const sends = (name, rfc, trailers, kept, { fields = '', announced = '' } = {}) =>
    accept(`trailers: ${name}`, rfc, chunked(body(trailers), fields), forwarded('PUT /a', { framing: TE + announced, body: body(kept) }), { origin_kept: true });
const takes = (name, rfc, trailers, kept, { fields = '', announced = '', client = get(TAKES), ...more } = {}) =>
    answer(`trailers: ${name}`, rfc, `${CHUNKED}${fields}\r\n${body(trailers)}`, `${CHUNKED}${announced}\r\n${body(kept)}`, { origin_kept: true, ...more }, client);

export const CASES = [
    sends('to the region', '9110 6.5.1', 'X-Sum: 1\r\nX-Other: 2\r\n', 'X-Sum: 1\r\nX-Other: 2\r\n'),
    sends('their case, order and repetition', '9110 6.5.1', 'x-b: 2\r\nX-A: 1\r\nx-b: 3\r\n', 'x-b: 2\r\nX-A: 1\r\nx-b: 3\r\n'),
    sends('white space around a value', '9112 5.1', 'A:1\r\nB: \t2\t \r\nC:\r\n', 'A: 1\r\nB: 2\r\nC: \r\n'),
    ...['Content-Length: 9', 'Transfer-Encoding: gzip', 'Host: other', 'Authorization: Basic eA==', 'Cookie: a=b', 'Connection: close', 'TE: gzip', 'Trailer: X', 'Upgrade: h2c', 'Proxy-Authorization: Basic eA==', 'If-Match: "1-a"', 'Range: bytes=0-1', 'Expect: 100-continue', 'Max-Forwards: 1', 'Cache-Control: no-cache', 'Content-Type: text/plain', 'Content-Encoding: gzip', 'Content-Range: bytes 0-1/2', 'X-Forwarded-For: 10.0.0.1', 'Forwarded: for=a', 'Via: 1.1 x', 'X-HTTP-Method-Override: DELETE', 'Destination: b', 'X-Auth-CouchDB-Roles: _admin', 'X-Request-Id: 7'].map((field) =>
        sends(`${field} is dropped`, '9110 6.5.1', `X-Sum: 1\r\n${field}\r\nX-Other: 2\r\n`, 'X-Sum: 1\r\nX-Other: 2\r\n'),
    ),
    sends('content-LENGTH in another case is dropped', '9110 6.5.1', 'content-LENGTH: 9\r\n', ''),
    sends('what Connection names is dropped', '9110 7.6.1', 'X-Mine: 1\r\nX-Yours: 2\r\n', 'X-Yours: 2\r\n', { fields: 'Connection: x-mine\r\n' }),
    sends('Trailer is passed on with them', '9110 6.6.2', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n', { fields: 'Trailer: X-Sum\r\n', announced: 'Trailer: X-Sum\r\n' }),
    sends('Trailer names what may come', '9110 6.6.2', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n', { fields: 'Trailer: Host,X-Sum ,, "x"\r\ntrailer: Content-Length, Y\r\n', announced: 'Trailer: X-Sum, Y\r\n' }),
    sends('Trailer that names nothing that may come ends here', '9110 6.6.2', '', '', { fields: 'Trailer: Host\r\n' }),

    takes('to a client that takes them', '9110 6.5.1', 'X-Sum: 1\r\nX-Other:2\r\n', 'X-Sum: 1\r\nX-Other: 2\r\n'),
    takes('the region is told that they are taken', '9110 10.1.4', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n', { seen: [forwarded('GET /a', { framing: TAKES })] }),
    takes('TE without Connection, among other codings', '9110 10.1.4', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n', { client: get('te: gzip;q=0.5, Trailers\r\n') }),
    takes('framing, cookies and the like are dropped', '9110 6.5.1', 'Content-Length: 7\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic\r\nLocation: /x\r\nVary: *\r\n', 'X-Sum: 1\r\n'),
    takes('what the region\'s Connection names is dropped', '9110 7.6.1', 'X-Sum: 1\r\nX-Mine: 2\r\n', 'X-Sum: 1\r\n', { fields: 'Connection: X-Mine\r\n' }),
    takes('Trailer of an answer', '9110 6.6.2', 'X-Sum: 1\r\n', 'X-Sum: 1\r\n', { fields: 'Trailer: Set-Cookie,X-Sum\r\n', announced: 'Trailer: X-Sum\r\n' }),
    takes('not to a client that does not say so', '9110 6.5.1', 'X-Sum: 1\r\n', '', { fields: 'Trailer: X-Sum\r\n', client: get(), lacks: [/X-Sum/] }),
    takes('not to a client that takes other codings only', '9110 10.1.4', 'X-Sum: 1\r\n', '', { client: get('TE: gzip\r\nConnection: TE\r\n'), lacks: [/X-Sum/] }),
    answer('trailers: not to an HTTP/1.0 client', '9110 6.5.1', `${CHUNKED}\r\n${body('X-Sum: 1\r\n')}`, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}', { keeps: false }, `GET /a HTTP/1.0\r\n${HOST}${TAKES}\r\n`),
    answer('trailers: none behind a body of a length', '9110 6.5.1', 'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', {}, get(TAKES)),
    { name: 'trailers: both ways at once', rfc: '9110 6.5.1', client: chunked(body('X-Up: 1\r\n'), 'TE: trailers\r\n'), origin: [`${CHUNKED}\r\n${body('X-Down: 2\r\n')}`], expect: { answer: `${CHUNKED}\r\n${body('X-Down: 2\r\n')}`, seen: [forwarded('PUT /a', { framing: TE + TAKES, body: body('X-Up: 1\r\n') })] } },
];
