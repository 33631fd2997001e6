// A drill without faults on real servers, with all that its load can ask: every kind is answered, followers are told all, the regions come
// to hold the same, and nothing of the drill stays behind.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Drill } from '../support/drill.mjs';
import { request } from '../support/http.mjs';
import { homeOf, nudged, startRegions } from '../support/region.mjs';

const KINDS = ['get', 'put', 'post', 'bulk', 'find', 'view', 'attachment'];
let regions;

before(async () => {
    regions = await startRegions(2);
});
after(() => Promise.all((regions ?? []).map((region) => region.close())));

function regionOf({ name, direct }) {
    const { origin, username, password } = new URL(direct);
    return { name, url: origin, ...(username && { username, password }) };
}

test('every kind of request, and what it leaves behind', async () => {
    const [left, right] = regions.map(regionOf);
    const drill = new Drill({
        name: 'all kinds',
        proxy: { ...left, admin: undefined, name: undefined },
        regions: [left, right],
        load: {
            rate: 30, seconds: 3, connections: 8, documents: 20, timeout_ms: 30_000, longpoll: 1, continuous: 1,
            mix: Object.fromEntries(KINDS.map((kind) => [kind, 1])),
        },
        objectives: { failed: 0, lost: 0, duplicated: 0, conflicted: 0, stale_reads: 0, missed: 0 },
    });
    homeOf('drill', regions);
    const { result } = await nudged('drill', drill.run(0));
    for (const kind of KINDS) {
        const one = result.kinds.find((row) => row.kind === kind);
        assert.ok(one.ok > 0, `${kind}: ${JSON.stringify(one)}`);
    }
    const { checker } = result;
    assert.deepEqual(checker.findings, []);
    assert.ok(checker.converged_s >= 0 && checker.acknowledged > 40, JSON.stringify(checker));
    assert.deepEqual(checker.regions.map((one) => one.present), [checker.acknowledged, checker.acknowledged]);
    assert.deepEqual(checker.feeds.map(({ kind, missed }) => [kind, missed]), [['longpoll', 0], ['continuous', 0]]);
    assert.ok(checker.feeds.every((feed) => feed.rows > 40), JSON.stringify(checker.feeds));
    for (const region of regions) {
        // pouchdb-server makes one anew, without documents, for a nudge that comes as it deletes it
        const database = await request(`${region.direct}/drill`);
        assert.ok(database.status === 404 || database.json.doc_count === 0, JSON.stringify(database.json));
        const { json } = await request(`${region.direct}/_replicator/_all_docs`);
        assert.deepEqual(json.rows.filter((row) => row.id.startsWith('drill-')), []);
    }
});
