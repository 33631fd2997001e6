// Who keeps the connection, who closes it, and what belongs to which request on it.

import { accept, answer, chunked, forwarded, get, HOST, OK, put, refuse, TE } from '../bytes.mjs';

const CLOSE = OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n');
const KEEP = OK.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n');
const closing = (name, fields, rfc = '9112 9.6') => accept(name, rfc, get(fields), forwarded('GET /a'), { answer: CLOSE, keeps: false });
const keeping = (name, fields, seen = '', rfc = '9112 9.3') => accept(name, rfc, get(fields), forwarded('GET /a', { fields: seen }));
const bad = (name, fields) => refuse(400, name, '9110 7.6.1', get(fields));
const old = (fields = '', method = 'GET') => `${method} /a HTTP/1.0\r\n${HOST}${fields}\r\n`;
const BODY = { framing: 'Content-Length: 2\r\n', body: '{}' };
const EXPECT = 'Expect: 100-continue\r\nContent-Length: 2\r\n';
const EXPECTED = { fields: 'Expect: 100-continue\r\n', ...BODY };
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

export const CASES = [
    keeping('HTTP/1.1 keeps by default', ''),
    closing('Connection: close', 'Connection: close\r\n'),
    closing('Connection: Close, in another case', 'Connection: cLoSe\r\n'),
    closing('Connection: close among others', 'Connection: x, close ,y\r\n'),
    closing('Connection: close in a second line', 'Connection: keep-alive\r\nConnection: close\r\n'),
    closing('Connection: close wins over keep-alive', 'Connection: close, keep-alive\r\n'),
    keeping('Connection: keep-alive', 'Connection: keep-alive\r\n'),
    keeping('Connection with empty places', 'Connection: ,, keep-alive, ,\r\n'),
    keeping('Connection empty', 'Connection:\r\n'),
    { ...refuse(400, 'Connection with a bad token', '9110 7.6.1', get('Connection: a b\r\n')) },
    bad('Connection with obs-text', 'Connection: clos\xe9\r\n'),
    bad('Connection in quotes', 'Connection: "close"\r\n'),
    bad('Connection with too many options', `Connection: ${Array.from({ length: 40 }, (_, i) => `x${i}`).join(',')}\r\n`),
    accept('a request behind Connection: close is not answered', '9112 9.6', get('Connection: close\r\n') + get('', '/smuggled'), forwarded('GET /a'), { answer: CLOSE, keeps: false }),

    keeping('what Connection names ends here', 'Connection: X-Mine\r\nX-Mine: 1\r\nX-Yours: 2\r\n', 'X-Yours: 2\r\n', '9110 7.6.1'),
    keeping('what Connection names in another case ends here', 'X-MINE: 1\r\nConnection: x-mine\r\nx-Mine: 2\r\n', '', '9110 7.6.1'),
    keeping('what two Connections name ends here', 'Connection: a1\r\nA1: 1\r\nConnection: keep-alive, b1\r\nB1: 2\r\nC1: 3\r\n', 'C1: 3\r\n', '9110 7.6.1'),
    keeping('what Connection names need not be there', 'Connection: x-nothing\r\nX: 1\r\n', 'X: 1\r\n', '9110 7.6.1'),
    keeping('a name that only begins so stays', 'Connection: x-a\r\nX-A: 1\r\nX-Ab: 2\r\n', 'X-Ab: 2\r\n', '9110 7.6.1'),
    ...['Host', 'Content-Length', 'Transfer-Encoding', 'Authorization', 'Cookie', 'Expect', 'X-Forwarded-For', 'X-HTTP-Method-Override', 'If-Match', 'Content-Type', 'Via', 'Destination', 'X-Request-Id', 'traceparent', 'Forwarded', 'Max-Forwards', 'If-Range', 'Cache-Control', 'X-Auth-CouchDB-Roles'].map((name) =>
        bad(`Connection that names ${name}`, `Connection: ${name}\r\n`),
    ),
    ...['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: gzip;q=0.5', 'Trailer: X', 'Upgrade: h2c', 'Proxy-Authorization: Basic eA==', 'Proxy-Authenticate: Basic', 'Proxy-Authentication-Info: a=b'].map((field) =>
        keeping(`${field} ends at this hop`, `${field}\r\n`, '', '9110 7.6.1'),
    ),
    refuse(501, 'an upgrade to WebSocket is refused', '9110 7.8', get('Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n')),
    refuse(501, 'an upgrade with a body is refused', '9110 7.8', put('Connection: keep-alive, upgrade\r\nUpgrade: IRC/6.9\r\nContent-Length: 2\r\n', '{}')),
    refuse(501, 'an upgrade to WebSocket beside an offer is refused', '9110 7.8', get('Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n')),
    { name: 'an upgrade to WebSocket where that is to be ignored', rfc: '9110 7.8', proxy: 'bare', client: get('Connection: Upgrade, close\r\nUpgrade: websocket\r\n'), expect: { answer: CLOSE, keeps: false, seen_has: [/^GET \/a HTTP\/1\.1\r\nHost: \S+\r\nVia: 1\.1 davenport\r\n\r\n$/] } },
    keeping('an upgrade that Connection does not name is ignored', 'Upgrade: websocket\r\n', '', '9110 7.8'),
    accept('an upgrade by HTTP/1.0 is ignored', '9110 7.8', old('Connection: upgrade\r\nUpgrade: websocket\r\n'), forwarded('GET /a', { via: '1.0' }), { answer: CLOSE, keeps: false }),
    keeping('an offer of TLS is ignored', 'Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/2.0\r\n', '', '9110 7.8'),
    keeping('an offer of HTTP/2 is ignored', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n', '', '9110 7.8'),
    accept('Proxy-Connection: close means nothing', '9112 C.2.2', get('Proxy-Connection: close\r\n'), forwarded('GET /a')),

    accept('HTTP/1.0 closes by default', '9112 9.3', old(), forwarded('GET /a', { via: '1.0' }), { answer: CLOSE, keeps: false }),
    accept('HTTP/1.0 with keep-alive is kept', '9112 C.2.2', old('Connection: keep-alive\r\n'), forwarded('GET /a', { via: '1.0' }), { answer: KEEP }),
    accept('HTTP/1.0 with Keep-Alive in another case is kept', '9112 C.2.2', old('Connection: Keep-Alive\r\nKeep-Alive: 300\r\n'), forwarded('GET /a', { via: '1.0' }), { answer: KEEP }),
    accept('HTTP/1.0 with keep-alive and close is closed', '9112 9.3', old('Connection: keep-alive, close\r\n'), forwarded('GET /a', { via: '1.0' }), { answer: CLOSE, keeps: false }),
    accept('HTTP/1.0 with a body', '9112 6.2', `${old('Content-Length: 2\r\n', 'PUT')}{}`, forwarded('PUT /a', { via: '1.0', ...BODY }), { answer: CLOSE, keeps: false }),
    accept('a request behind HTTP/1.0 is not answered', '9112 9.3', old() + get('', '/smuggled'), forwarded('GET /a', { via: '1.0' }), { answer: CLOSE, keeps: false }),

    accept('three requests at once', '9112 9.3.2', get() + get('', '/b') + get('', '/c'), [forwarded('GET /a'), forwarded('GET /b'), forwarded('GET /c')], { answer: OK + OK + OK }),
    accept('requests with bodies at once', '9112 9.3.2', put('Content-Length: 2\r\n', '{}') + put('Content-Length: 2\r\n', '[]') + get(), [forwarded('PUT /a', BODY), forwarded('PUT /a', { ...BODY, body: '[]' }), forwarded('GET /a')], { answer: OK + OK + OK }),
    { name: 'a good request, then a bad one, then a good one', rfc: '9112 11.2', client: `${get()}GET /b HTTP/1.1\r\nHost: a b\r\n\r\n${get('', '/smuggled')}`, expect: { then_refused: 400, seen: [forwarded('GET /a')] } },
    { name: 'a chunked body, and at once a bad head', rfc: '9112 11.2', client: `${chunked('2\r\n{}\r\n0\r\n\r\n')}X\r\n\r\n${get('', '/smuggled')}`, expect: { then_refused: 400, seen: [forwarded('PUT /a', { framing: TE, body: '2\r\n{}\r\n0\r\n\r\n' })] } },
    { name: 'a good request, then one of two meanings', rfc: '9112 11.2', client: get() + chunked(`0\r\n\r\n${get('', '/smuggled')}`, 'Content-Length: 5\r\n'), expect: { then_refused: 400, seen: [forwarded('GET /a')] } },

    // Expect. The region decides, and the client hears what it said.
    { name: 'Expect: 100-continue, granted by the region', rfc: '9110 10.1.1', client: [put(EXPECT), { until: 'head' }, '{}'], origin_early: true, origin: [CONTINUE, { until: 'whole' }, OK], expect: { answer: CONTINUE + OK, seen: [forwarded('PUT /a', EXPECTED)], origin_kept: true } },
    { name: 'Expect in another case', rfc: '9110 10.1.1', client: [put('Expect: 100-Continue\r\nContent-Length: 2\r\n'), { until: 'head' }, '{}'], origin_early: true, origin: [CONTINUE, { until: 'whole' }, OK], expect: { answer: CONTINUE + OK, seen: [forwarded('PUT /a', { ...EXPECTED, fields: 'Expect: 100-Continue\r\n' })] } },
    { name: 'Expect: 100-continue, refused by the region: no body is sent', rfc: '9110 10.1.1', client: [put(EXPECT), { until: 'head' }], origin_early: true, origin: ['HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno'], expect: { answer: 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno', keeps: false, unfinished: true } },
    { name: 'Expect: 100-continue, body sent without waiting', rfc: '9110 10.1.1', client: put(EXPECT, '{}'), origin: [OK], expect: { answer: OK, seen: [forwarded('PUT /a', EXPECTED)] } },
    { name: 'a 100 that nobody expects is not passed on', rfc: '9110 15.2', client: put('Content-Length: 2\r\n', '{}'), origin: [CONTINUE, OK], expect: { answer: OK, origin_kept: true } },
    { name: 'Expect from HTTP/1.0 means nothing', rfc: '9110 10.1.1', client: put(EXPECT, '{}', 'HTTP/1.0'), origin: [CONTINUE, OK], expect: { answer: CLOSE, keeps: false, seen: [forwarded('PUT /a', { ...BODY, via: '1.0' })] } },
    refuse(417, 'Expect of something else', '9110 10.1.1', put('Expect: miracles\r\nContent-Length: 2\r\n', '{}')),
    refuse(417, 'Expect of two things', '9110 10.1.1', put('Expect: 100-continue, x\r\nContent-Length: 2\r\n', '{}')),
    refuse(417, 'Expect twice', '9110 10.1.1', put('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n', '{}')),
    refuse(417, 'Expect empty', '9110 10.1.1', put('Expect:\r\nContent-Length: 2\r\n', '{}')),

    // A client that stops in the middle.
    { name: 'a client that ends within Content-Length', rfc: '9112 8', client: [put('Content-Length: 9\r\n', '{"a"'), { until: 'origin' }, { fin: true }], origin: [OK], expect: { silent: true, unfinished: true } },
    { name: 'a client that ends within a chunk', rfc: '9112 8', client: [chunked('9\r\n{"a"'), { until: 'origin' }, { fin: true }], origin: [OK], expect: { silent: true, unfinished: true } },
    { name: 'a client that ends between two chunks', rfc: '9112 8', client: [chunked('2\r\n{}\r\n'), { until: 'origin' }, { fin: true }], origin: [OK], expect: { silent: true, unfinished: true } },
    { name: 'a client that ends before the last empty line', rfc: '9112 8', client: [chunked('2\r\n{}\r\n0\r\n'), { until: 'origin' }, { fin: true }], origin: [OK], expect: { silent: true, unfinished: true } },
    { name: 'a client that resets within a body', rfc: '9112 8', client: [put('Content-Length: 9\r\n', '{"a"'), { until: 'origin' }, { reset: true }], origin: [OK], expect: { gone: true, unfinished: true } },
    { name: 'a client that ends within a head', rfc: '9112 8', client: ['GET /a HTTP/1.1\r\nHost: h\r\nX: ', { fin: true }], expect: { silent: true, seen: [] } },
    { name: 'a client that ends within a request line', rfc: '9112 8', client: ['GET /a HT', { fin: true }], expect: { silent: true, seen: [] } },
    { name: 'a client that ends with nothing said', rfc: '9112 8', client: [{ fin: true }], expect: { silent: true, seen: [] } },
    { name: 'a client that ends after empty lines', rfc: '9112 8', client: ['\r\n\r\n', { fin: true }], expect: { silent: true, seen: [] } },
    { name: 'a client that has ended its side is answered', rfc: '9112 9.6', client: [get(), { fin: true }], expect: { keeps: false, seen: [forwarded('GET /a')] } },

    // The region answers before it has all of the request.
    { name: 'an early answer ends the connection', rfc: '9112 9.6', client: [put('Content-Length: 9\r\n', '{"a"')], origin_early: true, origin: ['HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno'], expect: { answer: 'HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno', keeps: false, unfinished: true, origin_kept: false } },
    { name: 'an early answer to chunks ends the connection', rfc: '9112 9.6', client: [chunked('2\r\n{}\r\n')], origin_early: true, origin: ['HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno'], expect: { answer: 'HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno', keeps: false, unfinished: true, origin_kept: false } },
    { name: 'what follows an early answer is no request', rfc: '9112 9.6', client: [put('Content-Length: 100\r\n', '{"a"'), { until: 'head' }, `xx${get('', '/within-the-body')}`], origin_early: true, origin: ['HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno'], expect: { answer: 'HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno', keeps: false, origin_kept: false } },
    answer('an early answer that waits for the request', '9112 9.3', [OK], OK, { origin_kept: true }, put('Content-Length: 2\r\n', '{}')),
    { name: 'an answer to HEAD and the next request', rfc: '9110 9.3.2', client: `HEAD /a HTTP/1.1\r\n${HOST}\r\n`, origin: ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'], expect: { answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', headless: true, origin_kept: true } },
    { name: 'a refused HEAD has no body', rfc: '9110 9.3.2', client: 'HEAD /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', expect: { refused: 400, headless: true, seen: [] } },
    { name: 'a HEAD refused for a byte in its fields has no body', rfc: '9110 9.3.2', client: `HEAD /a HTTP/1.1\r\n${HOST}X: 1\n\r\n`, expect: { refused: 400, headless: true, seen: [] } },
];
