// Recorded exchanges with a real CouchDB as a sequence to play again, for couch_region.mjs. As in transcripts.mjs, what is
// needed of the recordings is kept beside (couch_region_extract.json), made anew by
//
//   node tests/support/recorded.mjs

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RECORDINGS } from './transcripts.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const EXTRACT = join(HERE, 'couch_region_extract.json');

const only = (...names) => new RegExp(`^(${names.join('|')})$`);
const but = (...names) => new RegExp(`^(?!(${names.join('|')})$)`);

// topic -> which exchanges, by name. All that a topic's exchanges stand on must be in it, in the recorded order.
const TOPICS = {
    '03-documents': only(
        'db|put|put-retry|retry-check|put-update|put-update-retry|put-rev-query|put-if-match|put-if-match-old|get|head-missing',
        'get-old-rev|get-wrong-rev|get-missing|get-revs|open-revs-json|open-revs-missing|post-with-id|post-with-id-retry',
        'delete(-no-rev|-bad-rev|-retry|-missing)?|get-deleted.*|open-revs-deleted|put-after-delete|put-id-slash|put-with-rev-new',
        'new-edits-false(-again|-branch)?|get-conflicts|open-revs-conflict',
    ),
    '03b-two-regions': only(
        'db-.|same-.|order-.|space-.|differ-.|upd-.|upd-same-.|del-.|delete-.|deledit.*|bulk-.|lag.*|repl-.*',
        'after-(same|order|space|differ|upd|deledit|lag1|lag2)-.|after-del-A|after-differ-open-.|resolve|resolved-A',
    ),
    '04-bulk': only('db|bulk-ids.*|bulk-same-id-twice|bulk-new-edits-false.*|bulk-empty|bulk-gzip|bulk-gzip-bad'),
    '06a-changes': but(
        '.*(attachments|chunks|many|selector|design|filter|limit-bad|timeout-bad|style-bad|heartbeat-bad|304|array|twice|upper|order|case).*',
        'put|db-updates.*|seq-interval|normal-again',
    ),
    '06c-foreign-tokens': but('stop.*|job.*|checkpoint.*|translate.*|.*longpoll|.*continuous|.*eventsource'),
    '06d-foreign-tokens-same-node-name': but('membership.*|stop.*|job.*|checkpoint.*|translate.*|.*longpoll|.*continuous|.*eventsource'),
    '07-local-docs': only('db.*|put.*|get.*|missing|encoded|in-b|local-docs|delete-no-rev|delete-again'),
};

function one({ name, region, request, responses }) {
    const [line, ...fields] = request.head.split('\r\n').filter(Boolean);
    const [method, target] = line.split(' ');
    const headers = Object.fromEntries(fields.map((field) => [field.split(': ')[0].toLowerCase(), field.split(': ').slice(1).join(': ')]));
    for (const own of ['host', 'content-length', 'authorization']) {
        delete headers[own];
    }
    const { text, base64 } = request.body ?? {};
    const last = responses.at(-1);
    return {
        name,
        region,
        method,
        target,
        headers,
        ...(text !== undefined && { text }),
        ...(base64 !== undefined && { base64 }),
        status: last.status,
        body: last.body?.text ?? '',
    };
}

// topic -> exchanges, from the recordings; null when they are not there.
export function fromRecordings() {
    if (!existsSync(RECORDINGS)) {
        return null;
    }
    return Object.fromEntries(
        Object.entries(TOPICS).map(([topic, wanted]) => {
            const { exchanges } = JSON.parse(readFileSync(join(RECORDINGS, `${topic}.json`), 'utf8'));
            return [topic, exchanges.filter((exchange) => exchange.request.head && wanted.test(exchange.name)).map(one)];
        }),
    );
}

export const fromExtract = () => JSON.parse(readFileSync(EXTRACT, 'utf8'));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    writeFileSync(EXTRACT, `${JSON.stringify(fromRecordings(), null, 1)}\n`);
}
