// The judge of a drill is judged itself: each way to betray an application is played once between a drill's load and a region, and
// the drill must find it, say so, and not pass.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { Drill } from '../support/drill.mjs';
import { Mischief } from '../support/mischief.mjs';

// A load begins with so many documents, and goes on only if it gets them: PUTs of these are passed on.
const DOCUMENTS = 20;
const ON_PUTS = new Set(['deny', 'fork', 'alien', 'reparent']);

let regions;

before(async () => {
    regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
});
after(() => Promise.all((regions ?? []).map((region) => region.close())));

// A drill through `url`, in a database of its own.
const drill = (url, name, over = {}) =>
    new Drill({
        name,
        proxy: { url },
        regions: regions.map((region) => ({ name: region.name, url: region.direct })),
        database: `drill_${name}`,
        load: { rate: 50, seconds: 2, connections: 4, documents: DOCUMENTS, longpoll: 1, continuous: 0, timeout_ms: 20_000, mix: { get: 4, put: 4, post: 3, bulk: 1 } },
        objectives: { lost: 0, duplicated: 0, conflicted: 0, stale_reads: 0, missed: 0, redelivered: 0 },
        ...over,
    });

// The result of one through a mischief with this trick; null: an honest one.
async function betrayed(trick) {
    const mischief = await Mischief.start(regions[0]);
    try {
        mischief.plan(trick, ON_PUTS.has(trick) ? DOCUMENTS + 5 : 3);
        const { result } = await drill(mischief.origin, trick ?? 'honest').run(trick ? 1 : 0);
        assert.equal(mischief.played > 0, trick !== null, 'the trick was played');
        return result;
    } finally {
        await mischief.close();
    }
}

const kinds = ({ checker }) => [...new Set(checker.findings.map((finding) => finding.kind))].sort();
const missed = ({ objectives }) => objectives.filter((one) => !one.ok).map((one) => one.name);

// What each is found as, and the objective that it costs; others may go with it.
const TRICKS = {
    hide: ['missed', 'missed'], // the first, since the checker waits for that follower
    invent: ['lost', 'lost'],
    twice: ['duplicated', 'duplicated'],
    deny: ['denied', 'other_findings'],
    fork: ['conflicted', 'conflicted'],
    alien: ['strange', 'other_findings'],
    reparent: ['conflicted', 'conflicted'], // the writer goes on from it, so two lines of descent are left
    forget: ['stale', 'stale_reads'],
};

describe('a dishonest thing before a region', { concurrency: 4 }, () => {
    test('an honest one is clean', async () => {
        const found = await betrayed(null);
        assert.deepEqual(found.checker.findings, []);
        const { acknowledged, converged_s, reads, feeds } = found.checker;
        assert.ok(acknowledged > 40 && reads > 0 && converged_s >= 0, JSON.stringify(found.checker));
        for (const region of found.checker.regions) {
            assert.equal(region.present, acknowledged);
        }
        assert.ok(feeds[0].rows > 0 && feeds[0].missed === 0);
    });

    for (const [trick, [kind, objective]] of Object.entries(TRICKS)) {
        test(`${trick} is found`, async () => {
            const found = await betrayed(trick);
            assert.ok(kinds(found).includes(kind), `${trick}: ${kinds(found)}`);
            assert.ok(missed(found).includes(objective), `${trick}: ${missed(found)}`);
        });
    }

    test('rows told twice are counted', async () => {
        const found = await betrayed('repeat');
        assert.ok(found.checker.feeds[0].redelivered > 0, JSON.stringify(found.checker.feeds));
        assert.deepEqual(missed(found), ['redelivered']);
    });

    test('a region that is not replicated to has lost all of it', async () => {
        const { result: found } = await drill(regions[0].direct, 'alone', { replicate: false, converge_s: 2 }).run(1);
        assert.ok(kinds(found).includes('diverged') && kinds(found).includes('lost'), `${kinds(found)}`);
        const [left, right] = found.checker.regions;
        assert.equal(left.lost, 0);
        assert.equal(right.lost, found.checker.acknowledged);
        assert.equal(found.checker.converged_s, null);
        assert.ok(found.checker.left_out > 0);
        const counted = Object.values(found.checker.found).reduce((sum, n) => sum + n, 0);
        assert.equal(counted, found.checker.findings.length + found.checker.left_out);
    });
});
