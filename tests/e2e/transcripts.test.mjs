// The scripted region answers as the real CouchDB did: every row is held to its recording, byte for byte but
// for what is random. The other tests stand on it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ROWS } from '../support/couchdb_rows.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { fromExtract, fromRecordings, withoutRandom } from '../support/transcripts.mjs';
import { Wire } from '../support/wire.mjs';

const extract = fromExtract();
let region;

before(async () => {
    region = await ScriptedRegion.start();
});
after(() => region.close());

const comparable = (response) => ({
    head: withoutRandom(`${response.line}\r\n${response.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`),
    framing: response.framing,
    complete: response.complete,
    body: withoutRandom(response.text),
    chunks: response.chunks,
    notAChunk: response.notAChunk ? withoutRandom(response.notAChunk.toString('latin1')) : null,
});

test('the kept extract is what the recordings say', { skip: fromRecordings() === null && 'no recordings here' }, () => {
    assert.deepEqual(extract, fromRecordings());
});

test('every row has its recording', () => {
    assert.deepEqual(Object.keys(extract).sort(), Object.keys(ROWS).sort());
});

for (const [row, exchange] of Object.entries(extract)) {
    test(row, async () => {
        region.rules.length = 0;
        region.play(row, () => true, { times: 1 });
        const wire = await Wire.connect(region.port);
        wire.send(exchange.request);
        const got = [];
        for (const expected of exchange.responses) {
            const response = await wire.response({ headless: exchange.method === 'HEAD' });
            got.push(comparable(response));
        }
        assert.deepEqual(got, exchange.responses);
        if (exchange.end === 'open') {
            // What belongs to no answer is read before the next one.
            await wire.when('the bytes behind the answer', () => wire.bytes.length >= exchange.extra.length);
            assert.equal(wire.bytes.subarray(0, exchange.extra.length).toString(), exchange.extra);
            if (exchange.responses.every((response) => response.complete)) {
                wire.bytes = wire.bytes.subarray(exchange.extra.length);
                wire.send('GET /_up HTTP/1.1\r\nHost: h\r\n\r\n');
                assert.equal((await wire.response()).status, 200);
            }
        } else {
            // A reset that arrives together with data is told as an end by node's event loop.
            const possible = exchange.end === 'server-rst' ? ['server-rst', 'server-fin'] : [exchange.end];
            const how = `server-${await wire.end()}`;
            assert.ok(possible.includes(how), `${how}, but recorded was ${exchange.end}`);
        }
        wire.destroy();
    });
}
