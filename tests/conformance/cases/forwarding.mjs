// What is added to a request, replaced in it and left alone.

import { accept, forwarded, get, HOST, put } from '../bytes.mjs';

const passes = (name, fields, rfc = '9110 7.6') => accept(name, rfc, get(fields), forwarded('GET /a', { fields }));

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
    passes('X-Request-Id and traceparent', 'X-Request-Id: 7\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n'),
    passes('Origin and a preflight', 'Origin: http://x\r\nAccess-Control-Request-Method: PUT\r\n'),
    passes('Cache-Control and Pragma', 'Cache-Control: no-cache\r\nPragma: no-cache\r\n'),
    passes('MIME-Version, Date, Server of a request', 'MIME-Version: 1.0\r\nDate: x\r\nServer: y\r\n'),
    passes('Davenport-Admin is nothing here', 'Davenport-Admin: 1\r\n'),
    accept('Content-Type and Content-Encoding', '9110 8', put('Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n', '{}'), forwarded('PUT /a', { fields: 'Content-Type: application/json\r\nContent-Encoding: gzip\r\n', framing: 'Content-Length: 2\r\n', body: '{}' })),
    accept('names keep the case in which they came', '9110 5.1', get('x-LoWeR: 1\r\nACCEPT: 2\r\n'), forwarded('GET /a', { fields: 'x-LoWeR: 1\r\nACCEPT: 2\r\n' })),
    accept('the admin paths are a region\'s here', '9110 7.4', get('', '/status'), forwarded('GET /status')),
    accept('Max-Forwards of a GET means nothing', '9110 7.6.2', get('Max-Forwards: 0\r\n'), forwarded('GET /a', { fields: 'Max-Forwards: 0\r\n' })),
];
