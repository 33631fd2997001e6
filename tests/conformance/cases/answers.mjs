// Heads of answers: what a region may say, what is repaired, and what no client may see.

import { answer, distrust, get, HOST, OK, printable, put } from '../bytes.mjs';

const bad = (name, origin, rfc = '9112 4') => distrust(`answer: ${name}`, rfc, origin);
const head = (fields, body = 'ok') => `HTTP/1.1 200 OK\r\n${fields}Content-Length: 2\r\n\r\n${body}`;
const field = (name, fields, rfc = '9112 5') => bad(name, head(fields), rfc);
const length = (value) => bad(`Content-Length ${JSON.stringify(value)}`, `HTTP/1.1 200 OK\r\nContent-Length: ${value}\r\n\r\nok`, '9112 6.3');
const coding = (value) => bad(`Transfer-Encoding ${JSON.stringify(value)}`, `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${value}\r\n\r\n2\r\nok\r\n0\r\n\r\n`, '9112 6.1');
const good = (name, fields, seen, rfc = '9110 7.6') => answer(`answer: ${name}`, rfc, head(fields), head(seen), { origin_kept: true });
const line = (name, text) => bad(name, `${text}\r\nContent-Length: 2\r\n\r\nok`);
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
const CONTROLS = [...Array(0x20).keys(), 0x7f];

export const CASES = [
    ...[200, 201, 202, 203, 205, 206, 300, 301, 400, 401, 404, 409, 412, 416, 418, 429, 500, 501, 502, 503, 504, 599].map((status) =>
        answer(`answer: status ${status}`, '9110 15', `HTTP/1.1 ${status} Reason\r\nContent-Length: ${status === 205 ? 0 : 2}\r\n\r\n${status === 205 ? '' : 'ok'}`, `HTTP/1.1 ${status} Reason\r\nContent-Length: ${status === 205 ? 0 : 2}\r\n\r\n${status === 205 ? '' : 'ok'}`, { origin_kept: true }),
    ),
    answer('answer: reason empty', '9112 4', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'),
    answer('answer: reason and its space absent, repaired', '9112 4', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'),
    answer('answer: reason with spaces and obs-text', '9112 4', 'HTTP/1.1 200 tr\xe8s bien, \tmerci\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 tr\xe8s bien, \tmerci\r\nContent-Length: 2\r\n\r\nok'),
    line('version 2.0', 'HTTP/2.0 200 OK'),
    line('version 1.2', 'HTTP/1.2 200 OK'),
    line('version 0.9', 'HTTP/0.9 200 OK'),
    line('version in lower case', 'http/1.1 200 OK'),
    line('version of two digits', 'HTTP/1.10 200 OK'),
    line('version absent', '200 OK'),
    line('another protocol', 'ICY 200 OK'),
    line('status of two digits', 'HTTP/1.1 20 OK'),
    line('status of four digits', 'HTTP/1.1 2000 OK'),
    line('status of letters', 'HTTP/1.1 abc OK'),
    line('status 000', 'HTTP/1.1 000 OK'),
    line('status 099', 'HTTP/1.1 099 OK'),
    line('status 600', 'HTTP/1.1 600 OK'),
    line('status 999', 'HTTP/1.1 999 OK'),
    line('status negative', 'HTTP/1.1 -20 OK'),
    line('status absent', 'HTTP/1.1'),
    line('two spaces before the status', 'HTTP/1.1  200 OK'),
    line('a tab before the status', 'HTTP/1.1\t200 OK'),
    line('reason without a space', 'HTTP/1.1 200OK'),
    line('reason with a NUL', 'HTTP/1.1 200 O\x00K'),
    line('reason with a control byte', 'HTTP/1.1 200 O\x1bK'),
    line('two status lines', 'HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK'),
    line('an empty line first', '\r\nHTTP/1.1 200 OK'),
    line('a space first', ' HTTP/1.1 200 OK'),
    bad('not HTTP at all', '{"ok":true}\r\n\r\n'),
    bad('a request', get()),
    bad('an alert of TLS', '\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n'),
    bad('HTTP/0.9: a body and nothing else', ['<html>', { fin: true }]),

    ...[0, 1, 8, 9, 0x0b, 0x1b, 0x20, 0x22, 0x28, 0x2f, 0x40, 0x7f, 0x80, 0xff].map((byte) => field(`name with byte ${printable(byte)}`, `X${String.fromCharCode(byte)}Y: 1\r\n`, '9110 5.1')),
    ...CONTROLS.filter((byte) => byte !== 9).map((byte) => field(`value with byte ${printable(byte)}`, `X: a${String.fromCharCode(byte)}b\r\n`, '9110 5.5')),
    field('space before the colon', 'X : 1\r\n', '9112 5.1'),
    field('name empty', ': 1\r\n'),
    field('no colon', 'X\r\n'),
    field('obs-fold', 'X: 1\r\n 2\r\n', '9112 5.2'),
    field('obs-fold with a tab', 'X: 1\r\n\t2\r\n', '9112 5.2'),
    field('obs-fold that hides a length', 'X: 1\r\n Content-Length: 9\r\n', '9112 5.2'),
    field('bare LF between fields', 'X: 1\nY: 2\r\n', '9112 2.2'),
    field('bare CR between fields', 'X: 1\rY: 2\r\n', '9112 2.2'),
    field('CR CR LF', 'X: 1\r\r\n', '9112 2.2'),
    bad('bare LF after the status line', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok', '9112 2.2'),
    bad('bare LFs only', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', '9112 2.2'),
    bad('bare LF as the empty line', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok', '9112 2.2'),
    { ...bad('a head past the limit', head(`X: ${'x'.repeat(5_000)}\r\n`), '9110 5.4'), whole: true },
    { ...bad('a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(50_000)}`, '9110 5.4'), whole: true },
    field('17 fields', Array.from({ length: 17 }, (_, i) => `X${i}: 1\r\n`).join(''), '9110 5.4'),
    bad('a head cut short', ['HTTP/1.1 200 OK\r\nContent-Le', { fin: true }], '9112 8'),
    bad('a head cut before its end', ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n', { fin: true }], '9112 8'),
    bad('a head cut by a reset', ['HTTP/1.1 200 OK\r\nContent-Le', { reset: true }], '9112 8'),

    ...['', '+2', '-2', '0x2', '2,2', '2, 2', '2, 3', '2 2', '2x', '2.0', '18446744073709551616', '99999999999999999999999'].map(length),
    bad('Content-Length twice, different', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok', '9112 6.3'),
    bad('Content-Length twice, equal', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok', '9112 6.3'),
    ...['', 'gzip', 'identity', 'gzip, chunked', 'chunked, chunked', 'chunked, gzip', 'chunked;q=1', 'xchunked', '\x0bchunked', '"chunked"', 'chunked,'].map(coding),
    bad('Transfer-Encoding twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '9112 6.1'),
    bad('Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '9112 6.3'),
    bad('Transfer-Encoding and Content-Length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n', '9112 6.3'),
    bad('Transfer-Encoding on HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '9112 6.1'),
    distrust('answer: a bad one to a PUT, which may have been carried out, and no other region to send it to', '9110 9.2.2', 'HTTP/9.9 200 OK\r\n\r\n', { has: [/"outcome_unknown"/] }, put('Content-Length: 2\r\n', '{}')),
    distrust('answer: a bad one to a POST, which may have been carried out', '9110 9.2.2', 'HTTP/9.9 200 OK\r\n\r\n', { has: [/"outcome_unknown"/] }, `POST /a HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\n{}`),

    good('end-to-end fields stay', 'X: 1\r\nETag: "1-a"\r\nx: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: CouchDB/3.3.3\r\nVia: 1.1 lb\r\n', 'X: 1\r\nETag: "1-a"\r\nx: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: CouchDB/3.3.3\r\nVia: 1.1 lb\r\n'),
    good('Set-Cookie stays in lines', 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n', 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n', '9110 5.3'),
    good('Location stays', 'Location: http://h/a\r\n', 'Location: http://h/a\r\n', '9110 10.2.2'),
    good('values are trimmed', 'X: \t a \t\r\nY:b\r\nZ:\r\n', 'X: a\r\nY: b\r\nZ: \r\n', '9110 5.5'),
    good('obs-text in a value', 'X: \xe9\xff\r\n', 'X: \xe9\xff\r\n', '9110 5.5'),
    ...['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'Upgrade: h2c', 'Trailer: X', 'TE: trailers', 'Proxy-Authenticate: Basic', 'Connection: keep-alive'].map((one) => good(`${one} ends at this hop`, `${one}\r\n`, '', '9110 7.6.1')),
    good('what Connection names ends here', 'Connection: X-Mine, y-mine\r\nX-Mine: 1\r\nY-Mine: 2\r\nZ: 3\r\n', 'Z: 3\r\n', '9110 7.6.1'),
    good('Connection that names a known field', 'Connection: Server\r\nServer: x\r\n', '', '9110 7.6.1'),
    good('Connection that names Content-Length changes no framing', 'Connection: Content-Length\r\n', '', '9110 7.6.1'),
    answer('answer: Connection: close, said by the region, is not the client\'s', '9112 9.6', head('Connection: close\r\n'), OK, { origin_kept: false }),
    answer('answer: Connection: close, and it closes', '9112 9.6', [head('Connection: close\r\n'), { fin: true }], OK, { origin_kept: false }),
    answer('answer: HTTP/1.0 with a length', '9112 9.3', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', OK, { origin_kept: false }),
    answer('answer: HTTP/1.0 with keep-alive', '9112 C.2.2', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok', OK, { origin_kept: true }),
    bad('Connection with a bad token', head('Connection: a b\r\n'), '9110 7.6.1'),

    ...['SSH-2.0-OpenSSH_9.2\r\n', '\x00\x01\x02', '\r\n', '200 OK\r\n\r\n'].map((greets) => ({
        ...distrust(`answer: ${JSON.stringify(greets)} before the request`, '9112 9.3', OK, { keeps: false }, get('Connection: close\r\n')),
        greets,
    })),

    answer('interim: 103 is passed on', '9110 15.2', [HINTS, OK], HINTS + OK, { origin_kept: true }),
    answer('interim: 103 twice is passed on twice', '9110 15.2', [HINTS, HINTS, OK], HINTS + HINTS + OK),
    answer('interim: fields of this hop are taken out', '9110 7.6.1', ['HTTP/1.1 103 Early Hints\r\nConnection: X\r\nX: 1\r\nLink: </a>\r\n\r\n', OK], HINTS + OK),
    answer('interim: 102 is not passed on', '9110 15.2', ['HTTP/1.1 102 Processing\r\n\r\n', OK], OK, { origin_kept: true }),
    answer('interim: 199 is not passed on', '9110 15.2', ['HTTP/1.1 199 What\r\n\r\n', OK], OK),
    answer('interim: none to HTTP/1.0', '9110 15.2', [HINTS, OK], OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), { keeps: false }, `GET /a HTTP/1.0\r\n${HOST}\r\n`),
    answer('interim: sixteen are borne', '9110 15.2', ['HTTP/1.1 102 Processing\r\n\r\n'.repeat(16), OK], OK),
    bad('interim: seventeen are not', ['HTTP/1.1 102 Processing\r\n\r\n'.repeat(17), OK], '9110 15.2'),
    bad('interim: a flood', ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)], '9110 15.2'),
    bad('interim: 101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', '9110 15.2.2'),
    bad('interim: with a length', ['HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok', OK], '9110 8.6'),
    bad('interim: with chunks', ['HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', OK], '9112 6.1'),
    bad('interim: and then nothing', [HINTS, { fin: true }], '9110 15.2'),
    distrust('interim: 101 although the client asked', '9110 15.2.2', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', {}, get('Connection: Upgrade\r\nUpgrade: h2c\r\n')),
];
