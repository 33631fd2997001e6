// What is not the everyday read and write: a region by its name, what every region must have, and reading what one wrote
// in a mode that reads elsewhere. Two regions without replication, so that whatever is in both was sent to both.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calm } from '../support/calm.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, usesRealServers } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';

const suite = useRegions(2);
const proxied = (over, body) => withProxy(() => suite.regions, calm(over), body);
const url = (proxy) => clientUrl(suite.regions[0], proxy.origin);
const ask = (proxy, path, options = {}) => request(`${url(proxy)}${path}`, options);
const direct = async (path) => (await Promise.all(suite.regions.map((region) => request(`${region.direct}${path}`)))).map((answer) => answer.status);
const down = (proxy, name) => until(`${name} to be down`, async () => (await proxy.region(name)).health === 'down');

test(
    'a request goes to the region that it names, drained or not, and to no other',
    proxied({ hold: { ms: 1_000 } }, async (proxy) => {
        const path = `/${suite.db}/named`;
        const made = await ask(proxy, path, { method: 'PUT', json: { at: 'right' }, headers: { 'Davenport-Region': 'right' } });
        assert.equal(made.status, 201);
        assert.deepEqual(await direct(path), [404, 200]);
        assert.equal((await ask(proxy, path)).status, 404, 'without a name: the active region');
        assert.equal((await ask(proxy, `/_region/right${path}`)).json.at, 'right');
        assert.equal((await ask(proxy, `/_region/left${path}`)).status, 404);

        const unknown = await ask(proxy, path, { headers: { 'Davenport-Region': 'atlantis' } });
        assert.deepEqual([unknown.status, unknown.json.error], [400, 'unknown_region']);

        proxy.cli('drain', 'right', '--reason', 'test', '--force');
        assert.equal((await ask(proxy, `/_region/right${path}`)).json.at, 'right', 'drained');
        proxy.cli('resume', 'right', '--reason', 'test');

        await suite.regions[1].kill();
        await down(proxy, 'right');
        const lost = await ask(proxy, `/_region/right${path}`);
        assert.deepEqual([lost.status, lost.json.error], [503, 'named_region_unavailable']);
    }),
);

test(
    'a database is made, governed and deleted in every region, and who missed it is told',
    proxied({}, async (proxy) => {
        const path = `/${suite.db}-everywhere`;
        assert.equal((await ask(proxy, path, { method: 'PUT' })).status, 201);
        assert.deepEqual(await direct(path), [200, 200]);
        assert.equal((await ask(proxy, path, { method: 'PUT' })).status, 412, 'it is there');

        const security = { admins: { names: ['x'], roles: [] }, members: { names: [], roles: ['y'] } };
        const set = await ask(proxy, `${path}/_security`, { method: 'PUT', json: security });
        assert.equal(set.status, 200);
        assert.equal(set.headers['davenport-missed'], undefined);
        for (const region of suite.regions)
            assert.deepEqual((await request(`${region.direct}${path}/_security`)).json.admins.names, ['x']);

        await suite.regions[1].kill();
        await down(proxy, 'right');
        const gone = await ask(proxy, path, { method: 'DELETE' });
        assert.equal(gone.status, 200);
        assert.equal(gone.headers['davenport-missed'], 'right');
        await suite.regions[1].revive();
        assert.deepEqual(await direct(path), [404, 200]);

        await until('right to be up', async () => (await proxy.region('right')).health === 'up');
        const again = await ask(proxy, path, { method: 'DELETE' });
        assert.equal(again.status, usesRealServers() ? 404 : 200, 'as the active region says: pouchdb-server deletes what is not there');
        assert.equal(again.headers['davenport-missed'], undefined);
        assert.deepEqual(await direct(path), [404, 404]);
        assert.equal(await proxy.metric('davenport_spread_missed_total'), 1);
    }),
);

test(
    'strict: nothing is sent while a region is away',
    proxied({ not_replicated: 'strict' }, async (proxy) => {
        const path = `/${suite.db}-strict`;
        await suite.regions[1].kill();
        await down(proxy, 'right');
        const refused = await ask(proxy, path, { method: 'PUT' });
        assert.deepEqual([refused.status, refused.json.error], [503, 'not_everywhere']);
        await suite.regions[1].revive();
        assert.deepEqual(await direct(path), [404, 404]);
    }),
);

// Reads are spread over both; the one that was not written to has nothing, for nothing replicates.
test(
    'write-primary: what was written is read, wherever the read goes first',
    proxied({ mode: 'write-primary' }, async (proxy) => {
        // Until some reads went elsewhere first: on a busy machine one region may be the nearer one for long.
        const reread = () => proxy.metric('davenport_rereads_total');
        for (let i = 0; i < 40 || (i < 4_000 && (await reread()) === 0); i += 1) {
            const path = `/${suite.db}/mine-${i}`;
            const made = await ask(proxy, path, { method: 'PUT', json: { i } });
            assert.equal(made.status, 201);
            const read = await ask(proxy, path);
            assert.deepEqual([read.status, read.json.i], [200, i]);
            assert.equal(read.json._rev, made.json.rev);
            const changed = await ask(proxy, path, { method: 'PUT', json: { i: -1, _rev: made.json.rev } });
            assert.equal((await ask(proxy, path)).json._rev, changed.json.rev);
        }
        const rows = await ask(proxy, `/${suite.db}/_bulk_docs`, { method: 'POST', json: { docs: [{ _id: 'bulk-a' }, { n: 1 }] } });
        for (const row of rows.json) assert.equal((await ask(proxy, `/${suite.db}/${row.id}`)).json._rev, row.rev);
        assert.ok((await reread()) > 0, 'some went elsewhere first');
        assert.equal(await proxy.metric('davenport_stale_reads_total'), 0);
    }),
);

// A browser that was sent to the pages of one region stays with it: what they load and where they redirect to is relative,
// or led through the same door.
test(
    'pages for people: Fauxton, and all that it loads, by the region that was named and by none',
    { skip: usesRealServers() && 'this build of CouchDB may have no Fauxton' },
    proxied({}, async (proxy) => {
        for (const door of ['', '/_region/right']) {
            const region = suite.regions[door ? 1 : 0];
            const moved = await ask(proxy, `${door}/_utils`);
            assert.deepEqual([moved.status, moved.headers.location], [301, `${door}/_utils/`]);
            const page = await ask(proxy, `${door}/_utils/`);
            assert.equal(page.status, 200);
            assert.match(page.headers['content-type'], /^text\/html/);
            const links = [...page.text.matchAll(/(?:src|href)="([^"#][^"]*)"/g)].map((match) => match[1]);
            assert.ok(links.length >= 3, `${links}`);
            for (const link of links) {
                const path = new URL(link, `http://x${door}/_utils/`).pathname;
                assert.ok(path.startsWith(`${door}/_utils/`), path);
                const asset = await ask(proxy, path);
                assert.equal(asset.status, 200, path);
                assert.equal(asset.text, (await request(`${region.origin}${path.slice(door.length)}`)).text, path);
            }
        }
    }),
);
