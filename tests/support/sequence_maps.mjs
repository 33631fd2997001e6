// The file of sequence maps, as a proxy leaves it behind (src/couch/seqmaps_text.c): for tests that begin with marks of their own, and
// for those that ask afterwards which marks there were.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from './crc32.mjs';

// maps: [{database, from, to, marks: [{token, read_ms}]}]
export function writeSequenceMaps(folder, maps) {
    const text = JSON.stringify({ maps });
    const sum = crc32(Buffer.from(text)).toString(16).padStart(8, '0');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'sequences'), `davenport-sequence-maps 1 ${sum} ${Buffer.byteLength(text)}\n${text}`);
}

export function readSequenceMaps(folder) {
    const text = readFileSync(join(folder, 'sequences'), 'utf8');
    return JSON.parse(text.slice(text.indexOf('\n') + 1)).maps;
}
