// What is added to a request, replaced in it and left alone.

import { accept, answer, chunked, forwarded, get, HOST, put, refuse, TE } from '../bytes.mjs';

const options = (fields, target = '/a') => `OPTIONS ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const passes = (name, fields, rfc = '9110 7.6') => accept(name, rfc, get(fields), forwarded('GET /a', { fields }));

const JSON_TYPE = 'Content-Type: application/json\r\n';
const post = (body, fields = '') => `POST /a HTTP/1.1\r\n${HOST}${JSON_TYPE}${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
const postChunked = (body) => `POST /a HTTP/1.1\r\n${HOST}${JSON_TYPE}${TE}\r\n${body}`;
const posted = (body, fields = '') => forwarded('POST /a', { fields: `${JSON_TYPE}${fields}`, framing: `Content-Length: ${body.length}\r\n`, body });
const minted = (name, rfc, client, sent) => ({ name, rfc, client, expect: { seen_has: [sent], seen_whole: 1 } });

export const CASES = [
    accept('X-Forwarded-For is made', '7239 8', get(), forwarded('GET /a', { xff: '127.0.0.1' })),
    accept('X-Forwarded-For is added to', '7239 8', get('X-Forwarded-For: 10.0.0.1\r\n'), forwarded('GET /a', { xff: '10.0.0.1, 127.0.0.1' })),
    accept('X-Forwarded-For in several lines becomes one', '7239 8', get('X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX: 1\r\nx-forwarded-for: 10.0.0.3\r\n'), forwarded('GET /a', { fields: 'X: 1\r\n', xff: '10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1' })),
    accept('X-Forwarded-For empty', '7239 8', get('X-Forwarded-For:\r\n'), forwarded('GET /a')),
    accept('X-Forwarded-Host is replaced', '7239 8', get('X-Forwarded-Host: evil\r\n'), forwarded('GET /a')),
    accept('X-Forwarded-Proto is replaced', '7239 8', get('X-Forwarded-Proto: https\r\n'), forwarded('GET /a')),
    accept('Via is added to, as a line', '9110 7.6.3', get('Via: 1.0 other\r\n'), forwarded('GET /a', { fields: 'Via: 1.0 other\r\n' })),
    accept('Via of an HTTP/1.0 request', '9110 7.6.3', `GET /a HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`, forwarded('GET /a', { via: '1.0' }), {
        answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok',
    }),
    passes('Authorization', 'Authorization: Basic Ym9iOnB3\r\n', '9110 11.6.2'),
    passes('Cookie', 'Cookie: AuthSession=abc\r\n'),
    passes('conditions', 'If-Match: "1-a"\r\nIf-None-Match: "2-b"\r\n', '9110 13'),
    passes('Range', 'Range: bytes=0-1\r\n', '9110 14.2'),
    passes('Accept and Accept-Encoding', 'Accept: application/json\r\nAccept-Encoding: gzip\r\n', '9110 12.5'),
    passes('X-HTTP-Method-Override', 'X-HTTP-Method-Override: PUT\r\n'),
    passes('Destination', 'Destination: b\r\n'),
    passes('Forwarded', 'Forwarded: for=10.0.0.1\r\n', '7239 4'),
    passes('Origin and a preflight', 'Origin: http://x\r\nAccess-Control-Request-Method: PUT\r\n'),
    passes('Cache-Control and Pragma', 'Cache-Control: no-cache\r\nPragma: no-cache\r\n'),
    passes('MIME-Version, Date, Server of a request', 'MIME-Version: 1.0\r\nDate: x\r\nServer: y\r\n'),
    passes('Davenport-Admin is nothing here', 'Davenport-Admin: 1\r\n'),
    accept('Content-Type and Content-Encoding', '9110 8', put('Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n', '{}'), forwarded('PUT /a', { fields: 'Content-Type: application/json\r\nContent-Encoding: gzip\r\n', framing: 'Content-Length: 2\r\n', body: '{}' })),
    // Documents of a POST get an id here; nothing else of them changes.
    accept('a document with an id', '9110 8', post('{"_id":"x","a":[1, 2]}'), posted('{"_id":"x","a":[1, 2]}')),
    minted('a document without an id', '9110 8', post('{"a": 1}'), /\r\nContent-Length: 49\r\n[^]*\r\n\r\n\{"a": 1,"_id":"[0-9a-f]{32}"\}$/),
    minted('a document without an id, in chunks', '9110 8', postChunked('1\r\n{\r\n1\r\n}\r\n0\r\nX-T: 1\r\n\r\n'), /\r\nTransfer-Encoding: chunked\r\n[^]*\r\n\r\n2a\r\n\{"_id":"[0-9a-f]{32}"\}\r\n0\r\nX-T: 1\r\n\r\n$/),
    accept('a document without an id, whose digest was sent', '9110 8', post('{}', 'Digest: md5=x\r\n'), posted('{}', 'Digest: md5=x\r\n')),
    accept('what is called gzip and is none', '9110 8.4', post('{}', 'Content-Encoding: gzip\r\n'), posted('{}', 'Content-Encoding: gzip\r\n')),
    accept('names keep the case in which they came', '9110 5.1', get('x-LoWeR: 1\r\nACCEPT: 2\r\n'), forwarded('GET /a', { fields: 'x-LoWeR: 1\r\nACCEPT: 2\r\n' })),
    accept('the admin paths are a region\'s here', '9110 7.4', get('', '/status'), forwarded('GET /status')),
    // Credentials go to regions where the application put them, and nowhere else; what is for proxies ends here.
    accept('Proxy-Authorization is for no region', '9110 11.7.2', get('Proxy-Authorization: Basic c2VjcmV0\r\nAuthorization: Basic Ym9iOnB3\r\n'), forwarded('GET /a', { fields: 'Authorization: Basic Ym9iOnB3\r\n' }), { seen_lacks: [/c2VjcmV0/] }),
    accept('Proxy-Authorization in another case is for no region', '9110 11.7.2', get('PROXY-authorization: Basic c2VjcmV0\r\n'), forwarded('GET /a'), { seen_lacks: [/c2VjcmV0/i] }),
    accept('Proxy-Authorization in a trailer is for no region', '9110 6.5.1', chunked('2\r\n{}\r\n0\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n'), forwarded('PUT /a', { framing: TE, body: '2\r\n{}\r\n0\r\n\r\n' })),
    accept('the credentials of probes are for no request', '9110 11.6.2', get(), forwarded('GET /a'), { seen_lacks: [/authorization/i] }),
    answer('what a region says to proxies is for no client', '9110 11.7.1', 'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: a=b\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nok'),

    accept('Max-Forwards of OPTIONS is counted down', '9110 7.6.2', options('Max-Forwards: 10\r\n'), forwarded('OPTIONS /a', { framing: 'Max-Forwards: 9\r\n' })),
    accept('Max-Forwards: 1 goes to the region', '9110 7.6.2', options('Max-Forwards: 1\r\n'), forwarded('OPTIONS /a', { framing: 'Max-Forwards: 0\r\n' })),
    { name: 'Max-Forwards: 0 of OPTIONS is answered here', rfc: '9110 7.6.2', client: options('Max-Forwards: 0\r\n'), expect: { status: 200, has: [/^HTTP\/1\.1 200 OK\r\nAllow: COPY, DELETE, GET, HEAD, OPTIONS, POST, PUT\r\nContent-Length: 0\r\n/], seen: [] } },
    { name: 'Max-Forwards: 0 of OPTIONS * is answered here', rfc: '9110 7.6.2', client: options('Max-Forwards: 0\r\n', '*'), expect: { status: 200, seen: [] } },
    { name: 'Max-Forwards: 0 of OPTIONS with a body', rfc: '9110 7.6.2', client: options('Max-Forwards: 0\r\nContent-Length: 2\r\n') + '{}', whole: true, expect: { status: 200, seen: [] } },
    refuse(400, 'Max-Forwards of OPTIONS that is no number', '9110 7.6.2', options('Max-Forwards: x\r\n')),
    refuse(400, 'Max-Forwards of OPTIONS twice', '9110 7.6.2', options('Max-Forwards: 1\r\nMax-Forwards: 1\r\n')),
    refuse(508, 'Via names this proxy four times', '9110 7.6.3', get('Via: 1.1 davenport, 1.0 x\r\nVia: 1.1 Davenport (again), HTTP/1.1 davenport\r\nVia: 1.1 davenport\r\n')),
    accept('Via names this proxy three times', '9110 7.6.3', get('Via: 1.1 davenport, 1.0 x, 1.1 davenport, 1.1 davenport, 1.1 davenport2\r\n'), forwarded('GET /a', { fields: 'Via: 1.1 davenport, 1.0 x, 1.1 davenport, 1.1 davenport, 1.1 davenport2\r\n' })),
    accept('Max-Forwards of a GET means nothing', '9110 7.6.2', get('Max-Forwards: 0\r\n'), forwarded('GET /a', { fields: 'Max-Forwards: 0\r\n' })),
];
