// What a request is called, where it came from, when and how an answer came: made, checked, passed on or taken out.

import { accept, answer, forwarded, get, OK, put } from '../bytes.mjs';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const named = (id) => OK.replace('\r\n\r\n', `\r\nX-Request-Id: ${id}\r\n\r\n`);
const CLOSE = 'Connection: close\r\n';

// The patient proxy passes on what is sound and makes nothing.
const passes = (name, rfc, fields, more) => accept(`names: ${name}`, rfc, get(fields), forwarded('GET /a', { fields }), more);
const drops = (name, rfc, fields, kept = '') => accept(`names: ${name}`, rfc, get(fields), forwarded('GET /a', { fields: kept }));
// One that adds, and one that takes out, all that can be.
const by = (proxy) => (name, rfc, client, expect) => ({
    name: `${proxy}: ${name}`,
    rfc,
    proxy,
    client,
    expect: { status: 200, keeps: false, seen_whole: 1, ...expect },
});
const naming = by('naming');
const bare = by('bare');

export const CASES = [
    passes('X-Request-Id is passed on and given back', '9110 7.6', 'X-Request-Id: a1B2-._~:/+=@\r\n', { answer: named('a1B2-._~:/+=@') }),
    passes('X-Request-Id of 128 bytes', '9110 7.6', `x-request-id: ${'r'.repeat(128)}\r\n`, { answer: named('r'.repeat(128)) }),
    drops('X-Request-Id of 129 bytes', '9110 7.6', `X-Request-Id: ${'r'.repeat(129)}\r\n`),
    drops('X-Request-Id with a space', '9110 7.6', 'X: 1\r\nX-Request-Id: a b\r\nY: 2\r\n', 'X: 1\r\nY: 2\r\n'),
    drops('X-Request-Id with a quote', '9110 7.6', 'X-Request-Id: a"b\r\n'),
    drops('X-Request-Id with markup', '9110 7.6', 'X-Request-Id: <b>\r\n'),
    drops('X-Request-Id with obs-text', '9110 7.6', 'X-Request-Id: \xe9\r\n'),
    drops('X-Request-Id empty', '9110 7.6', 'X-Request-Id:\r\n'),
    drops('X-Request-Id twice', '9110 7.6', 'X-Request-Id: a\r\nX: 1\r\nX-Request-Id: a\r\n', 'X: 1\r\n'),
    answer('names: the client\'s X-Request-Id is not replaced by the region\'s', '9110 7.6', 'HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\n\r\nok', named('mine'), {}, get('X-Request-Id: mine\r\n')),
    answer('names: without one the region\'s X-Request-Id passes', '9110 7.6', 'HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\n\r\nok'),
    { name: 'names: our own answers have it too', rfc: '9110 7.6', client: get('X-Request-Id: mine\r\nExpect: x\r\n'), expect: { refused: 417, seen: [], has: [/\r\nX-Request-Id: mine\r\n/] } },

    passes('traceparent and its tracestate', 'W3C Trace Context 3', `traceparent: ${PARENT}\r\ntracestate: a=b,c@d=e\r\ntracestate: f=g\r\n`),
    passes('traceparent of a later version', 'W3C Trace Context 3.2.4', `traceparent: cc${PARENT.slice(2)}-what-comes-later\r\n`),
    drops('traceparent of version ff', 'W3C Trace Context 3.2.2', `traceparent: ff${PARENT.slice(2)}\r\n`),
    drops('traceparent of version 00 with more behind it', 'W3C Trace Context 3.2.2', `traceparent: ${PARENT}-x\r\n`),
    drops('traceparent in capitals', 'W3C Trace Context 3.2.2', `traceparent: ${PARENT.toUpperCase()}\r\n`),
    drops('traceparent cut short', 'W3C Trace Context 3.2.2', `traceparent: ${PARENT.slice(0, -1)}\r\n`),
    drops('traceparent with a trace of zeros', 'W3C Trace Context 3.2.2', `traceparent: 00-${'0'.repeat(32)}-b7ad6b7169203331-01\r\n`),
    drops('traceparent with a parent of zeros', 'W3C Trace Context 3.2.2', `traceparent: 00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01\r\n`),
    drops('traceparent twice', 'W3C Trace Context 3.2', `traceparent: ${PARENT}\r\ntraceparent: ${PARENT}\r\n`),
    drops('tracestate alone', 'W3C Trace Context 3.3', 'X: 1\r\ntracestate: a=b\r\n', 'X: 1\r\n'),
    drops('tracestate beside a bad traceparent', 'W3C Trace Context 3.3', 'traceparent: 00-x\r\ntracestate: a=b\r\n'),

    naming('X-Request-Id is made and given back', '9110 7.6', get(CLOSE), { seen_has: [/\r\nX-Request-Id: [0-9a-f]{32}\r\n/], has: [/\r\nX-Request-Id: [0-9a-f]{32}\r\n/] }),
    naming('X-Request-Id that is not sound is replaced', '9110 7.6', get(`${CLOSE}X-Request-Id: a b\r\n`), { seen_has: [/\r\nX-Request-Id: [0-9a-f]{32}\r\n/], seen_lacks: [/a b/], lacks: [/a b/] }),
    naming('X-Request-Id that is sound is kept', '9110 7.6', get(`${CLOSE}X-Request-Id: mine\r\n`), { seen_has: [/\r\nX-Request-Id: mine\r\n/], has: [/\r\nX-Request-Id: mine\r\n/] }),
    { name: 'naming: a request that is none is called something too', rfc: '9110 7.6', proxy: 'naming', client: 'GET\r\n\r\n', expect: { refused: 400, seen: [], has: [/\r\nX-Request-Id: [0-9a-f]{32}\r\n/] } },
    naming('traceparent is made, not sampled', 'W3C Trace Context 3.2', get(CLOSE), { seen_has: [/\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n/], lacks: [/traceparent/] }),
    naming('traceparent that is bad is replaced, tracestate goes', 'W3C Trace Context 4.3', get(`${CLOSE}traceparent: 00-x\r\ntracestate: a=b\r\n`), { seen_has: [/\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n/], seen_lacks: [/00-x/, /tracestate/] }),
    naming('traceparent that is valid is kept', 'W3C Trace Context 3.2', get(`${CLOSE}traceparent: ${PARENT}\r\ntracestate: a=b\r\n`), { seen_has: [new RegExp(`\r\ntraceparent: ${PARENT}\r\ntracestate: a=b\r\n`)], seen_lacks: [/-00\r\n/] }),
    naming('Forwarded is made', '7239 4', get(CLOSE), { seen_has: [/\r\nForwarded: for=127\.0\.0\.1;host="h";proto=http\r\n/] }),
    naming('Forwarded is added to, in one line', '7239 4', get(`${CLOSE}Forwarded: for=10.0.0.1\r\nforwarded: for="[2001:db8::1]:80"\r\n`), { seen_has: [/\r\nForwarded: for=10\.0\.0\.1, for="\[2001:db8::1\]:80", for=127\.0\.0\.1;host="h";proto=http\r\n/] }),
    naming('Forwarded with an open quote does not swallow ours', '7239 4', get(`${CLOSE}Forwarded: for="x\r\n`), { seen_has: [/\r\nForwarded: for=127\.0\.0\.1;/] }),
    naming('Forwarded has the port that was asked for', '7239 5.3', get(CLOSE).replace('Host: h', 'Host: [::1]:5984'), { seen_has: [/\r\nForwarded: for=127\.0\.0\.1;host="\[::1\]:5984";proto=http\r\n/] }),
    naming('X-Forwarded-For is replaced', '7239 8', get(`${CLOSE}X-Forwarded-For: 10.0.0.1\r\n`), { seen_has: [/\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/], seen_lacks: [/10\.0\.0\.1/] }),
    naming('Via is added to answers', '9110 7.6.3', get(CLOSE), { has: [/\r\nVia: 1\.1 davenport\r\n/] }),
    bare('all of it is taken out', '9110 7.6', get(`${CLOSE}X-Request-Id: a\r\ntraceparent: ${PARENT}\r\ntracestate: a=b\r\nForwarded: for=a\r\nX-Forwarded-For: b\r\nX-Forwarded-Host: c\r\nX-Forwarded-Proto: https\r\nX: 1\r\n`), { seen_has: [/^GET \/a HTTP\/1\.1\r\nHost: \S+\r\nX: 1\r\nVia: 1\.1 davenport\r\n\r\n$/], lacks: [/X-Request-Id/] }),

    answer('Date is added where there is none', '9110 6.6.1', OK, OK, { has: [/^HTTP\/1\.1 200 OK\r\nContent-Length: 2\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n\r\n/] }),
    answer('Date of the region is passed on', '9110 6.6.1', 'HTTP/1.1 200 OK\r\ndate: whenever\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\ndate: whenever\r\nContent-Length: 2\r\n\r\nok', { has: [/^HTTP\/1\.1 200 OK\r\ndate: whenever\r\nContent-Length: 2\r\n\r\nok/] }),
    answer('Date is not added to a 103', '9110 6.6.1', ['HTTP/1.1 103 Early Hints\r\n\r\n', OK], `HTTP/1.1 103 Early Hints\r\n\r\n${OK}`, { has: [/^HTTP\/1\.1 103 Early Hints\r\n\r\n/] }),
    answer('Via of an answer is passed on', '9110 7.6.3', 'HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nContent-Length: 2\r\n\r\nok'),
    accept('X-HTTP-Method-Override in capitals is passed on', '9110 9', put('X-HTTP-METHOD-OVERRIDE: PATCH\r\nContent-Length: 2\r\n', '{}'), forwarded('PUT /a', { fields: 'X-HTTP-METHOD-OVERRIDE: PATCH\r\n', framing: 'Content-Length: 2\r\n', body: '{}' })),
];
