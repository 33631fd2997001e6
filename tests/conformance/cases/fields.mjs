// Field lines: names, values, line ends, folding, Host.

import { accept, forwarded, get, HOST, OK, printable, put, refuse } from '../bytes.mjs';

const bad = (name, fields, rfc = '9112 5', status = 400) => refuse(status, name, rfc, get(fields));
const good = (name, fields, seen, rfc = '9110 5.5') => accept(name, rfc, get(fields), forwarded('GET /a', { fields: seen }));
const host = (name, value, rfc = '9110 7.2') => refuse(400, name, rfc, `GET /a HTTP/1.1\r\nHost: ${value}\r\n\r\n`);
const hosted = (name, value, rfc = '9110 7.2') => accept(name, rfc, `GET /a HTTP/1.1\r\nHost: ${value}\r\n\r\n`, forwarded('GET /a', { host: value }));

const CONTROLS = [...Array(0x20).keys(), 0x7f];
// Bytes that no name may have, CR LF and the colon apart.
const NAME_REFUSED = [...CONTROLS, 0x20, ...[...'"(),/;<=>?@[\\]{}'].map((c) => c.charCodeAt(0)), 0x80, 0xff];

export const CASES = [
    ...NAME_REFUSED.map((byte) => bad(`name with byte ${printable(byte)}`, `X${String.fromCharCode(byte)}Y: 1\r\n`, '9110 5.1')),
    ...CONTROLS.filter((byte) => byte !== 9).map((byte) => bad(`value with byte ${printable(byte)}`, `X: a${String.fromCharCode(byte)}b\r\n`, '9110 5.5')),
    good('name with every other sign', "X!#$%&'*+-.^_`|~9: 1\r\n", "X!#$%&'*+-.^_`|~9: 1\r\n", '9110 5.6.2'),
    good('value with obs-text', 'X: \x80\xff\xe9\r\n', 'X: \x80\xff\xe9\r\n'),
    good('value with a tab inside', 'X: a\tb\r\n', 'X: a\tb\r\n'),
    good('value with every visible sign', 'X: !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~\r\n', 'X: !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~\r\n'),
    good('value with white space around it, trimmed', 'X: \t a b \t \r\n', 'X: a b\r\n'),
    good('value without white space before it', 'X:a\r\n', 'X: a\r\n'),
    good('value empty', 'X:\r\n', 'X: \r\n'),
    good('value of white space only', 'X: \t \r\n', 'X: \r\n'),
    good('repeated fields stay in order, each a line', 'X: 1\r\nY: 2\r\nx: 3\r\n', 'X: 1\r\nY: 2\r\nx: 3\r\n', '9110 5.3'),
    bad('name empty', ': 1\r\n', '9112 5.1'),
    bad('space before the colon', 'X : 1\r\n', '9112 5.1'),
    bad('tab before the colon', 'X\t: 1\r\n', '9112 5.1'),
    bad('space before the colon of Content-Length', 'Content-Length : 0\r\n', '9112 5.1'),
    bad('space before the colon of Transfer-Encoding', 'Transfer-Encoding : chunked\r\n', '9112 5.1'),
    bad('no colon', 'X\r\n', '9112 5'),
    bad('no colon, but a value', 'X 1\r\n', '9112 5'),
    refuse(400, 'space at the beginning of the first field', '9112 2.2', `GET /a HTTP/1.1\r\n X: 1\r\n${HOST}\r\n`),
    bad('obs-fold with a space', 'X: 1\r\n 2\r\n', '9112 5.2'),
    bad('obs-fold with a tab', 'X: 1\r\n\t2\r\n', '9112 5.2'),
    bad('obs-fold that hides a field', 'X: 1\r\n Transfer-Encoding: chunked\r\n', '9112 5.2'),
    bad('obs-fold in Content-Length', 'Content-Length:\r\n 0\r\n', '9112 5.2'),
    bad('obs-fold of nothing', 'X: 1\r\n \r\n', '9112 5.2'),

    refuse(400, 'bare LF after the request line', '9112 2.2', `GET /a HTTP/1.1\n${HOST}\r\n`),
    refuse(400, 'bare LF after the first field', '9112 2.2', 'GET /a HTTP/1.1\r\nHost: h\n\r\n'),
    refuse(400, 'bare LF after the last field', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}X: 1\n\r\n`),
    refuse(400, 'bare LF as the empty line', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}\n`),
    refuse(400, 'bare LFs only', '9112 2.2', 'GET /a HTTP/1.1\nHost: h\n\n'),
    refuse(400, 'bare CR after the request line', '9112 2.2', `GET /a HTTP/1.1\r${HOST}\r\n`),
    refuse(400, 'bare CR in the request line', '9112 2.2', `GET /a\rb HTTP/1.1\r\n${HOST}\r\n`),
    refuse(400, 'bare CR after a field', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}X: 1\rY: 2\r\n\r\n`),
    refuse(400, 'bare CR in the place of the colon', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}X\r: 1\r\n\r\n`),
    refuse(400, 'bare CR at the beginning of a value', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}X:\r1\r\n\r\n`),
    refuse(400, 'bare CRs as the end of a head', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}\r\r`),
    refuse(400, 'CR CR LF after a field', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}X: 1\r\r\n\r\n`),
    refuse(400, 'CR CR LF as the empty line', '9112 2.2', `GET /a HTTP/1.1\r\n${HOST}\r\r\n`),
    refuse(400, 'LF CR as a line end', '9112 2.2', `GET /a HTTP/1.1\n\r${HOST}\r\n`),

    refuse(400, 'Host absent', '9112 3.2', 'GET /a HTTP/1.1\r\n\r\n'),
    refuse(400, 'Host twice, different', '9112 3.2', 'GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'),
    refuse(400, 'Host twice, equal', '9112 3.2', 'GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'),
    refuse(400, 'Host twice, in two cases', '9112 3.2', 'GET /a HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n'),
    refuse(400, 'Host twice on HTTP/1.0', '9112 3.2', 'GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n'),
    host('Host empty', ''),
    host('Host with a path', 'h/x'),
    host('Host with credentials', 'u@h'),
    host('Host with a space', 'a b'),
    host('Host that is a list', 'a, b'),
    host('Host with a scheme', 'http://h'),
    host('Host with a query', 'h?x'),
    host('Host with obs-text', 'h\xe9'),
    host('Host with a percent sign', 'h%20'),
    host('Host with a port that is none', 'h:x'),
    host('Host with a port past 65535', 'h:65536'),
    host('Host with a signed port', 'h:+80'),
    host('Host with an empty port', 'h:'),
    host('Host with two ports', 'h:80:80'),
    host('Host that is only a port', ':80'),
    host('Host with half a bracket', '[::1'),
    host('Host with empty brackets', '[]'),
    host('Host with a name in brackets', '[xyz]'),
    hosted('Host with a port', 'h:8080'),
    hosted('Host that is an IPv4 address', '10.0.0.1:5984'),
    hosted('Host that is an IPv6 address', '[2001:db8::1]:5984'),
    hosted('Host with an underscore', 'my_couch.local'),
    accept('Host last among the fields', '9110 7.2', 'GET /a HTTP/1.1\r\nX: 1\r\nhost: k\r\n\r\n', forwarded('GET /a', { fields: 'X: 1\r\n', host: 'k' })),
    accept('Host absent on HTTP/1.0', '9112 3.2', 'GET /a HTTP/1.0\r\n\r\n', forwarded('GET /a', { host: null, via: '1.0' }), {
        keeps: false,
        answer: OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    }),
    refuse(400, 'Host that is bad, of a PUT with a body', '9110 7.2', 'PUT /a HTTP/1.1\r\nHost: a b\r\nContent-Length: 2\r\n\r\n{}'),
    refuse(400, 'refused PUT whose body looks like a request', '9112 11.2', put('Content-Length : 50\r\n', get('', '/smuggled'))),
];
