// What a real CouchDB 3.4.3 says, exchange by exchange, as scripts for the scripted region.
//
// Each row is named after the recorded exchange that it reproduces, "topic/exchange"; e2e/transcripts.test.mjs
// holds every row to its recording. `date`, request ids and the sequence tokens inside are any value.
//
// A script is a list of steps, see scripted_region.mjs.

// Header fields go out in alphabetical order, as CouchDB's do.
export function head(line, headers) {
    const rows = Object.entries(headers)
        .filter(([, value]) => value !== undefined)
        .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
        .map(([name, value]) => `${name}: ${value}\r\n`);
    return `${line}\r\n${rows.join('')}\r\n`;
}

const REASONS = {
    200: 'OK',
    201: 'Created',
    202: 'Accepted',
    304: 'Not Modified',
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'Object Not Found',
    405: 'Method Not Allowed',
    409: 'Conflict',
    412: 'Precondition Failed',
    500: 'Internal Server Error',
    503: 'Service Unavailable',
};

let requestIds = 0;

function common() {
    requestIds += 1;
    return {
        Date: new Date().toUTCString(),
        Server: 'CouchDB/3.4.3 (Erlang OTP/25)',
        'X-Couch-Request-ID': requestIds.toString(16).padStart(10, '0'),
        'X-CouchDB-Body-Time': '0',
    };
}

// A whole answer with a Content-Length. `body`: an object becomes CouchDB's JSON line. HEAD: pass headless.
export function answer(status, body = '', { headers = {}, headless = false, version = '1.1' } = {}) {
    const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
    const json = text !== '' && { 'Cache-Control': 'must-revalidate', 'Content-Type': 'application/json' };
    const line = `HTTP/${version} ${status} ${REASONS[status]}`;
    const all = { ...common(), ...json, 'Content-Length': Buffer.byteLength(text), ...headers };
    return head(line, all) + (headless ? '' : text);
}

export const error = (status, word, reason, options) => answer(status, { error: word, reason }, options);

// The head of an answer that will be chunked, and its parts.
export function chunkedHead(headers = {}) {
    return head('HTTP/1.1 200 OK', {
        ...common(),
        'Cache-Control': 'must-revalidate',
        'Content-Type': 'application/json',
        'Transfer-Encoding': 'chunked',
        ...headers,
    });
}

export const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
export const LAST_CHUNK = '0\r\n\r\n';
export const FIN = { fin: true };
export const RESET = { reset: true };
export const STALL = { stall: true };

// Not CouchDB's own server name: its HTTP library answers this one.
const CONTINUE = () =>
    head('HTTP/1.1 100 Continue', {
        Connection: 'close',
        Date: new Date().toUTCString(),
        Server: 'MochiWeb/1.0 (Any of you quaids got a smint?)',
    });

const CLOSE = { Connection: 'close' };
const TOKEN = '3-g1AAAACXeJzLYWBgYMpgTmEQSM4vTc4wdDA0MtczAELDHJBMIkNS_f___7MymBOZcoEC7ElGSeYppgZY1OM2JI8FSDI0AKn_ULMYwWYZAk1KSUvCoi0LACdpJlQ';
const NO_DATABASE = ['not_found', 'Database does not exist.'];
const NO_SHARDS = { error: 'internal_server_error', reason: 'No DB shards could be opened.', ref: 2122694960 };
const STACK = { 'X-Couch-Stack-Hash': '2122694960' };

const created = (id, rev, where) =>
    answer(201, { ok: true, id, rev }, { headers: { ETag: `"${rev}"`, Location: where } });
const document = (id, rev, member, options = {}) =>
    answer(200, { _id: id, _rev: rev, ...member }, { ...options, headers: { ETag: `"${rev}"`, ...options.headers } });

const D0 = ['d0', '1-6a1adde9be9cd8e7d5ef76edc6836391', { n: 0 }];
const D1 = ['d1', '1-731bef401491606a3b246ed178e697c1', { n: 1 }];
const V1 = '1-7a7e4b29f3af401e69b6f86e4c26b727';

// Pause between the heartbeats of a feed. CouchDB kept to the heartbeat=500 that was asked for; nothing
// depends on the time, so tests need not wait for it.
const BEAT = { pause: 20 };
const feed = (...steps) => [chunkedHead(), ...steps];
const nodedown = () => error(412, 'nodedown', 'progress not possible');

// name -> (host) => script. `host`: what Location is made of, the Host that was sent.
export const ROWS = {
    '01-server/welcome': () => [
        answer(200, {
            couchdb: 'Welcome',
            version: '3.4.3',
            git_sha: 'e12b967',
            uuid: '80ba8d5f668f3e72cf6870c6844efb94',
            features: ['access-ready', 'partitioned', 'pluggable-storage-engines', 'reshard', 'scheduler'],
            vendor: { name: 'The Apache Software Foundation' },
        }),
    ],
    '01-server/up-ok': () => [answer(200, { status: 'ok', seeds: {} })],
    '01-server/mm-up': () => [answer(404, { status: 'maintenance_mode' })],
    '01-server/nolb-up': () => [answer(404, { status: 'nolb' })],
    '01-server/mm-doc-get': () => [answer(500, NO_SHARDS, { headers: STACK })],
    '01-server/mm-doc-put': () => [answer(500, NO_SHARDS, { headers: { ...STACK, ...CLOSE } }), FIN],

    '02-databases/create': (host) => [answer(201, { ok: true }, { headers: { Location: `http://${host}/d1` } })],
    '02-databases/create-body': (host) => [
        answer(201, { ok: true }, { headers: { ...CLOSE, Location: `http://${host}/d1body` } }),
        FIN,
    ],
    '02-databases/create-again': () => [
        error(412, 'file_exists', 'The database could not be created, the file already exists.'),
    ],
    '02-databases/missing-doc-get': () => [error(404, ...NO_DATABASE)],
    '02-databases/missing-doc-put': () => [error(404, ...NO_DATABASE, { headers: CLOSE }), FIN],
    '02-databases/delete-again': () => [error(404, ...NO_DATABASE)],

    '03-documents/put': (host) => [created('a', V1, `http://${host}/d/a`)],
    '03-documents/get-missing': () => [error(404, 'not_found', 'missing')],
    '03-documents/get-304': () => [
        head('HTTP/1.1 304 Not Modified', {
            ...common(),
            'Content-Length': 0,
            ETag: '"4-466d1236001126307ed71dfdc083b1c2"',
        }),
    ],
    '03-documents/delete': () => [
        answer(
            200,
            { ok: true, id: 'b', rev: '2-d9b15b235a7d0afdfe6058d5fb8afbd1' },
            { headers: { ETag: '"2-d9b15b235a7d0afdfe6058d5fb8afbd1"' } },
        ),
    ],
    '03-documents/delete-retry': () => [error(404, 'not_found', 'deleted')],

    '06b-changes-feeds/longpoll-timeout': () =>
        feed(
            chunk('{"results":[\n'),
            chunk('\n'),
            BEAT,
            chunk(`\n],\n"last_seq":"${TOKEN}","pending":0}\n`),
            chunk('\n'),
            LAST_CHUNK,
        ),
    '06b-changes-feeds/nolb-continuous': () =>
        feed(
            chunk('\n'),
            BEAT,
            chunk('\n'),
            BEAT,
            chunk('\n'),
            chunk(`{"last_seq":"${TOKEN.replace('3-', '17-')}","pending":0}\n`),
            chunk('\n'),
            LAST_CHUNK,
        ),
    // Maintenance mode under an open feed: a second head in the middle of the body, and the connection stays.
    '06b-changes-feeds/mm-longpoll': () =>
        feed(chunk('{"results":[\n'), chunk('\n'), BEAT, chunk('\n'), BEAT, chunk('\n'), nodedown()),
    '06b-changes-feeds/mm-continuous': () => feed(chunk('\n'), BEAT, chunk('\n'), BEAT, chunk('\n'), nodedown()),
    // An eventsource ends, and then come eleven bytes that belong to nothing.
    '06b-changes-feeds/eventsource-desync': () => [
        chunkedHead({ 'Cache-Control': 'no-cache', 'Content-Type': 'text/event-stream' }),
        chunk('\n'),
        BEAT,
        `${LAST_CHUNK}${chunk('\n')}${LAST_CHUNK}`,
    ],

    '10-attachments/expect': (host) => [
        CONTINUE(),
        { body: true },
        answer(
            201,
            { ok: true, id: 'x', rev: '1-b5f5a560258617dc7d9e2023f9ccce49' },
            { headers: { Location: `http://${host}/a/x/x.bin` } },
        ),
    ],
    '10-attachments/expect-conflict': () => [
        CONTINUE(),
        { body: true },
        error(409, 'conflict', 'Document update conflict.', { headers: CLOSE }),
        RESET,
    ],
    '10-attachments/expect-401': () => [
        error(401, 'unauthorized', 'Name or password is incorrect.', { headers: CLOSE }),
        FIN,
    ],
    '10-attachments/expect-missing-db': () => [error(404, ...NO_DATABASE, { headers: CLOSE }), FIN],

    '11-wire/keepalive-1': () => [document(...D0)],
    '11-wire/keepalive-3': () => [document(...D1, { headless: true })],
    // HEAD of what GET sends chunked: a Content-Length that is not that of the GET.
    '11-wire/keepalive-5': () => [
        head('HTTP/1.1 200 OK', {
            ...common(),
            'Cache-Control': 'must-revalidate',
            'Content-Length': 0,
            'Content-Type': 'application/json',
        }),
    ],
    '11-wire/keepalive-put': (host) => [created('ka', V1, `http://${host}/w/ka`)],
    '11-wire/keepalive-409': () => [error(409, 'conflict', 'Document update conflict.')],
    '11-wire/keepalive-close': () => [document(...D0, { headers: CLOSE }), FIN],
    '11-wire/http10': () => [document(...D0, { headers: CLOSE, version: '1.0' }), FIN],
    '11-wire/unread-401-small': () => [
        error(401, 'unauthorized', 'You are not authorized to access this db.', { headers: CLOSE }),
        FIN,
    ],
    '11-wire/unread-404-db': () => [error(404, ...NO_DATABASE, { headers: CLOSE }), FIN],
    '11-wire/unread-405': () => [
        error(405, 'method_not_allowed', 'Only GET,HEAD allowed', { headers: { Allow: 'GET,HEAD', ...CLOSE } }),
        FIN,
    ],

    // SIGKILL: feeds end without their last chunk.
    '13-lifecycle/kill-longpoll': () =>
        feed(chunk('{"results":[\n'), chunk('\n'), BEAT, chunk('\n'), BEAT, chunk('\n'), FIN),
    '13-lifecycle/kill-continuous': () => feed(chunk('\n'), BEAT, chunk('\n'), BEAT, chunk('\n'), FIN),
};

// Rows whose answer begins before the body was read.
export const EARLY = new Set([
    '10-attachments/expect',
    '10-attachments/expect-conflict',
    '10-attachments/expect-401',
    '10-attachments/expect-missing-db',
]);
