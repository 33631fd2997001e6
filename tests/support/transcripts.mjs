// The recorded exchanges with a real CouchDB, cut down to what the scripted region must reproduce.
//
// The recordings lie beside the repository (../shared/couchdb-transcripts). What the tests need of them is
// kept in couchdb_extract.json, so that they run without; made anew by
//
//   node tests/support/transcripts.mjs
//
// Values that are random anew each time (dates, request ids, sequence tokens) are taken out on both sides.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROWS } from './couchdb_rows.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const EXTRACT = join(HERE, 'couchdb_extract.json');
export const RECORDINGS = join(HERE, '..', '..', '..', 'shared', 'couchdb-transcripts');

// Stands for the regions' ports: five digits, so that every length in a recording stays right.
const PORT = '15984';
const ports = (text) => text.replaceAll('{A}', PORT).replaceAll('{B}', PORT);

export function withoutRandom(text) {
    return text
        .replace(/\d+-g1AAAA[\w-]+/g, 'TOKEN')
        .replace(/^Date: .*\r\n/gm, '')
        .replace(/^X-Couch-Request-ID: .*\r\n/gm, '');
}

// One recorded response in the form that responses are compared in.
function comparable(response) {
    return {
        head: withoutRandom(ports(response.head)),
        framing: response.framing,
        complete: response.complete,
        body: withoutRandom(response.body?.text ?? ''),
        chunks: (response.chunks ?? []).map((chunk) => chunk.bytes),
        notAChunk: response.not_a_chunk ? withoutRandom(response.not_a_chunk.text) : null,
    };
}

function extractOne(exchange) {
    const { request } = exchange;
    const sent = request.raw ? request.raw.text : request.head + (request.body?.text ?? '');
    return {
        method: /^\w+/.exec(sent)[0],
        request: ports(sent),
        responses: exchange.responses.map(comparable),
        extra: exchange.extra_after?.text ?? '',
        // "kept" is what "open" is called when the recording went on with the connection.
        end: exchange.end.how === 'kept' ? 'open' : exchange.end.how,
    };
}

// name -> exchange, from the recordings; null when they are not there.
export function fromRecordings() {
    if (!existsSync(RECORDINGS)) {
        return null;
    }
    const topics = new Map();
    const out = {};
    for (const row of Object.keys(ROWS)) {
        const [topic, name] = row.split('/');
        if (!topics.has(topic)) {
            topics.set(topic, JSON.parse(readFileSync(join(RECORDINGS, `${topic}.json`), 'utf8')).exchanges);
        }
        const exchange = topics.get(topic).find((candidate) => candidate.name === name);
        if (!exchange) {
            throw new Error(`no such recording: ${row}`);
        }
        out[row] = extractOne(exchange);
    }
    return out;
}

export const fromExtract = () => JSON.parse(readFileSync(EXTRACT, 'utf8'));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    writeFileSync(EXTRACT, `${JSON.stringify(fromRecordings(), null, 1)}\n`);
}
