// Request lines: methods, targets in their four forms, versions, what stands before and behind them.

import { accept, forwarded, get, HOST, OK, printable, refuse } from '../bytes.mjs';

const line = (text) => `${text}\r\n${HOST}\r\n`;
const bad = (name, text, status = 400, rfc = '9112 3') => refuse(status, name, rfc, line(text));

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'COPY', 'PATCH', 'MKCOL', 'PROPFIND', 'SEARCH'];

// Visible bytes that RFC 3986 leaves out of targets, but which clients of CouchDB send raw, pass; all others do not.
const TARGET_REFUSED = [...Array(0x21).keys(), 0x23, 0x7f, 0x80, 0xa0, 0xff].filter((byte) => byte !== 0x20);

export const CASES = [
    ...METHODS.map((method) => accept(`method ${method}`, '9110 9.1', line(`${method} /a HTTP/1.1`), forwarded(`${method} /a`))),
    bad('method unknown', 'BREW /a HTTP/1.1', 501, '9110 9.1'),
    bad('method in lower case', 'get /a HTTP/1.1', 501, '9110 9.1'),
    bad('method of RTSP', 'DESCRIBE /a HTTP/1.1', 501, '9110 9.1'),
    bad('method CONNECT, authority form', 'CONNECT h:443 HTTP/1.1', 501, '9112 3.2.3'),
    bad('method CONNECT, origin form', 'CONNECT /a HTTP/1.1', 501, '9112 3.2.3'),
    bad('method TRACE', 'TRACE /a HTTP/1.1', 501, '9110 9.3.8'),
    bad('method absent', '/a HTTP/1.1'),
    bad('method empty', ' /a HTTP/1.1'),
    ...['G@T', 'G(T', 'G\tT', 'G\x00T', 'G\xe9T', 'GET:', '"GET"'].map((method) => bad(`method ${JSON.stringify(method)}`, `${method} /a HTTP/1.1`, 400, '9110 5.6.2')),

    bad('version absent (HTTP/0.9)', 'GET /a'),
    refuse(400, 'HTTP/0.9 and nothing else', '9112 3', 'GET /a\r\n'),
    bad('version after a tab', 'GET /a\tHTTP/1.1'),
    bad('version after two spaces', 'GET /a  HTTP/1.1'),
    bad('method and two spaces', 'GET  /a HTTP/1.1'),
    bad('line with a space at its end', 'GET /a HTTP/1.1 '),
    bad('line with a tab at its end', 'GET /a HTTP/1.1\t'),
    bad('target with a space', 'GET /a b HTTP/1.1'),
    bad('two versions', 'GET /a HTTP/1.1 HTTP/1.1'),
    bad('target absent', 'GET HTTP/1.1'),
    bad('target empty', 'GET  HTTP/1.1'),
    ...['HTTP/1.2', 'HTTP/2.0', 'HTTP/3.0', 'HTTP/0.9', 'HTTP/9.9'].map((version) => bad(`version ${version}`, `GET /a ${version}`, 505, '9110 2.5')),
    ...['http/1.1', 'HTTP/1', 'HTTP/1.', 'HTTP/11', 'HTTP/1.10', 'HTTP/01.1', 'HTTP/1,1', 'HTTP/+1.1', 'HTTP 1.1', 'HTTPS/1.1', 'ICE/1.1', 'RTSP/1.0', 'HTTP/1.\x31\x00'].map((version) =>
        bad(`version ${JSON.stringify(version)}`, `GET /a ${version}`, 400, '9112 2.3'),
    ),
    refuse(505, 'preface of HTTP/2', '9113 3.4', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    refuse(400, 'ClientHello of TLS', '9112 3', '\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03'),
    refuse(400, 'PROXY protocol that nobody asked for', '9112 3', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get()}`),

    ...TARGET_REFUSED.map((byte) => bad(`target with byte ${printable(byte)}`, `GET /a${String.fromCharCode(byte)}b HTTP/1.1`, 400, '9112 3.2')),
    accept('target with what clients of CouchDB send raw', '9112 3.2', line('GET /a?startkey=["x",{}]&q=<a|b>^`\\ HTTP/1.1'), forwarded('GET /a?startkey=["x",{}]&q=<a|b>^`\\')),
    accept('target with percent encoding, untouched', '9110 4.2.3', line('GET /a%2Fb%00%2e%2E/../c?d=%zz HTTP/1.1'), forwarded('GET /a%2Fb%00%2e%2E/../c?d=%zz')),
    accept('target with dots and double slashes, untouched', '9110 4.2.3', line('GET //x/./y/../z// HTTP/1.1'), forwarded('GET //x/./y/../z//')),
    bad('target without a slash', 'GET a HTTP/1.1', 400, '9112 3.2'),
    bad('target that is a query', 'GET ?a HTTP/1.1', 400, '9112 3.2'),
    bad('target in authority form', 'GET h:80 HTTP/1.1', 400, '9112 3.2.3'),
    bad('target asterisk of GET', 'GET * HTTP/1.1', 400, '9112 3.2.4'),
    bad('target asterisk and more', 'OPTIONS *a HTTP/1.1', 400, '9112 3.2.4'),
    accept('target asterisk of OPTIONS', '9112 3.2.4', line('OPTIONS * HTTP/1.1'), forwarded('OPTIONS *')),
    bad('target with a fragment', 'GET /a#b HTTP/1.1', 400, '9112 3.2.1'),

    accept('absolute form', '9112 3.2.2', line('GET http://h/b?c HTTP/1.1'), forwarded('GET /b?c')),
    accept('absolute form, Host in another case', '9112 3.2.2', line('GET HTTP://H/b HTTP/1.1'), forwarded('GET /b', { host: 'H' })),
    accept('absolute form without a path', '9112 3.2.2', line('GET http://h HTTP/1.1'), forwarded('GET /')),
    accept('absolute form with a query only', '9112 3.2.2', line('GET http://h?c=d HTTP/1.1'), forwarded('GET /?c=d')),
    accept('absolute form of OPTIONS without a path', '9112 3.2.4', line('OPTIONS http://h HTTP/1.1'), forwarded('OPTIONS *')),
    accept('absolute form of https', '9112 3.2.2', line('GET https://h/b HTTP/1.1'), forwarded('GET /b')),
    accept('absolute form on HTTP/1.0 without Host', '9112 3.2.2', 'GET http://k/b HTTP/1.0\r\n\r\n', forwarded('GET /b', { host: 'k', via: '1.0' }), {
        keeps: false,
        answer: OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    }),
    bad('absolute form that differs from Host', 'GET http://other/b HTTP/1.1', 400, '9112 3.2.2'),
    bad('absolute form whose port differs from Host', 'GET http://h:81/b HTTP/1.1', 400, '9112 3.2.2'),
    refuse(400, 'absolute form without Host on HTTP/1.1', '9112 3.2', 'GET http://h/b HTTP/1.1\r\n\r\n'),
    bad('absolute form with credentials', 'GET http://u:p@h/b HTTP/1.1', 400, '9110 4.2.4'),
    bad('absolute form without an authority', 'GET http:///b HTTP/1.1', 400, '9110 4.2.1'),
    bad('absolute form of another scheme', 'GET ftp://h/b HTTP/1.1', 400, '9112 3.2.2'),
    bad('absolute form with a fragment', 'GET http://h/b#c HTTP/1.1', 400, '9112 3.2.2'),

    accept('one empty line before', '9112 2.2', `\r\n${get()}`, forwarded('GET /a')),
    accept('four empty lines before', '9112 2.2', `\r\n\r\n\r\n\r\n${get()}`, forwarded('GET /a')),
    refuse(400, 'five empty lines before', '9112 2.2', `\r\n\r\n\r\n\r\n\r\n${get()}`),
    refuse(400, 'a bare LF before', '9112 2.2', `\n${get()}`),
    refuse(400, 'a bare CR before', '9112 2.2', `\r${get()}`),
    refuse(400, 'a space before', '9112 2.2', ` ${get()}`),
    refuse(400, 'a NUL before', '9112 2.2', `\x00${get()}`),
    refuse(400, 'a byte order mark before', '9112 2.2', `\xef\xbb\xbf${get()}`),
    accept('two requests with an empty line between', '9112 2.2', `${get()}\r\n${get('', '/b')}`, [forwarded('GET /a'), forwarded('GET /b')], { answer: OK + OK }),
];
