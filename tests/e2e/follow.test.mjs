// Followers of _changes whose region dies: they go on in the other one at a proven place, miss nothing, and see again only what
// came since the mark that was used.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { Follower } from '../support/follower.mjs';
import { couch, request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, createDatabase, everywhere } from '../support/region.mjs';
import { writeSequenceMaps } from '../support/sequence_maps.mjs';
import { useRegions } from '../support/suite.mjs';
import { scratch, until } from '../support/wait.mjs';

const suite = useRegions(2, { replicated: true });
const model = { regions: [], db: null };
const numbered = (prefix, n) => Array.from({ length: n }, (_, i) => `${prefix}-${i}`);
const [OLD, MID, LATE] = [numbered('old', 30), numbered('mid', 20), numbered('late', 10)];

before(async () => {
    model.regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    model.db = await createDatabase(model.regions, { replicated: true, name: 'follow' });
});
after(() => Promise.all(model.regions.map((region) => region.close())));

async function put(base, names) {
    await couch(`${base}/_bulk_docs`, { method: 'POST', json: { docs: names.map((_id) => ({ _id })) } });
}

// What `to` has was read in `from` just now: the mark of who reads `from`.
async function markNow(from, to, db) {
    const info = await couch(`${to.direct}/${db}`);
    return { database: db, from: from.name, to: to.name, marks: [{ token: String(info.update_seq), read_ms: Date.now() }] };
}

// As an earlier proxy left them, and old enough. Tokens tell whole seconds.
async function leaveMarks(folder, maps) {
    writeSequenceMaps(folder, maps);
    const read = Math.max(...maps.map((map) => map.marks[0].read_ms));
    await until('the marks to be old enough', () => Date.now() > read + 2_100);
}

const withMarks = (folder) => ({ state: { dir: folder }, sequences: { min_age_ms: 1000 }, replication: { watch: 'off' } });

// They went on where they were: what the mark covers is not told again, all else at most once more.
function check(followers, t) {
    for (const follower of followers) {
        t.diagnostic(`${follower.kind}: ${follower.again([...MID, ...LATE])} told again, ${follower.errors} errors, ${follower.fates}`);
        assert.ok(follower.fates.includes('translated'), `${follower.kind}: ${follower.fates}`);
        assert.ok(!follower.fates.includes('rewound'), `${follower.kind}: ${follower.fates}`);
        assert.equal(OLD.filter((id) => follower.told.has(id)).length, 0);
        assert.ok([...follower.told.values()].every((n) => n <= 2));
    }
}

const folders = { numbers: join(scratch('state'), 'numbers'), opaque: join(scratch('state'), 'opaque') };

async function followersGoOn({ regions, db }, folder, kinds, t) {
    const [left, right] = regions;
    await put(`${left.direct}/${db}`, OLD);
    await everywhere(regions, db, OLD);
    await leaveMarks(folder, [await markNow(left, right, db), await markNow(right, left, db)]);
    await withProxy(regions, withMarks(folder), async (proxy) => {
        const base = `${clientUrl(left, proxy.origin)}/${db}`;
        const first = await couch(`${base}/_changes`);
        assert.match(first.last_seq, /~left\.\d+\.\d+$/);
        const followers = kinds.map((kind) => new Follower(kind, base, first.last_seq));
        await put(base, MID);
        await Promise.all(followers.map((follower) => follower.knows(MID)));
        await everywhere([right], db, MID);

        await left.kill();
        await proxy.untilActive('right');
        await put(base, LATE);
        await Promise.all(followers.map((follower) => follower.knows([...MID, ...LATE])));
        check(followers, t);
        followers.forEach((follower) => follower.stop());
        await Promise.all(followers.map((follower) => follower.done));
        assert.ok((await proxy.metric('davenport_sequences_translated_total')) >= kinds.length);
    })(t);
}

// pouchdb-server serves an eventsource as a normal feed.
test('whose tokens are numbers', (t) => followersGoOn(suite, folders.numbers, ['normal', 'longpoll', 'continuous'], t));

test('whose tokens are opaque, by all four feeds', (t) =>
    followersGoOn(model, folders.opaque, ['normal', 'longpoll', 'continuous', 'eventsource'], t));

test(
    'a token that says nothing of time begins anew, and the answer says so',
    withProxy(() => suite.regions, withMarks(folders.numbers), async (proxy) => {
        const [left] = suite.regions;
        const base = `${clientUrl(left, proxy.origin)}/${suite.db}`;
        const { last_seq } = await couch(`${base}/_changes`);
        const bare = last_seq.replace(/(~left).*$/, '$1');
        await left.kill();
        await proxy.untilActive('right');
        const answer = await request(`${base}/_changes?since=${encodeURIComponent(bare)}`);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['davenport-sequence'], 'rewound');
        const ids = new Set(answer.json.results.map((row) => row.id));
        assert.ok(OLD.every((id) => ids.has(id)));
    }),
);
