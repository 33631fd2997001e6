// PouchDB replicates both ways through the proxy, live, while the active region dies under it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import http from 'pouchdb-adapter-http';
import memory from 'pouchdb-adapter-memory';
import PouchDB from 'pouchdb-core';
import replication from 'pouchdb-replication';
import { couch } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, everywhere } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';

PouchDB.plugin(http).plugin(memory).plugin(replication);

const suite = useRegions(2, { replicated: true });

const numbered = (prefix, from, to) => Array.from({ length: to - from }, (_, i) => `${prefix}-${from + i}`);

test(
    'a live two-way replication survives the death of the active region',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        const remote = `${clientUrl(suite.regions[0], proxy.origin)}/${suite.db}`;
        const local = new PouchDB('app', { adapter: 'memory' });
        const has = async (wanted) => {
            const all = await local.allDocs({ keys: wanted });
            return all.rows.every((row) => row.value && !row.error);
        };
        await local.bulkDocs(numbered('local', 0, 50).map((_id) => ({ _id })));
        // Quick retries: the default doubles its pause up to ten minutes.
        const sync = local.sync(remote, { live: true, retry: true, back_off_function: () => 100, heartbeat: 1_000 });
        let errors = 0;
        sync.catch(() => {
            errors += 1;
        });

        await everywhere(suite.regions, suite.db, numbered('local', 0, 50));
        await couch(`${remote}/remote-0`, { method: 'PUT', json: {} });
        await until('a remote document', () => has(['remote-0']));

        assert.equal(await proxy.active(), 'left');
        await suite.regions[0].kill();
        for (const id of numbered('local', 50, 100)) {
            await local.put({ _id: id });
        }
        // Everything known here goes up through the proxy again, to the region that is left.
        await everywhere([suite.regions[1]], suite.db, numbered('local', 0, 100));
        assert.equal(await proxy.active(), 'right');
        await couch(`${remote}/remote-1`, { method: 'PUT', json: {} });
        await until('a document of the other region', () => has(['remote-0', 'remote-1']));

        await suite.regions[0].revive();
        for (const id of numbered('local', 100, 120)) {
            await local.put({ _id: id });
        }
        await everywhere(suite.regions, suite.db, [...numbered('local', 0, 120), 'remote-0', 'remote-1']);
        assert.equal(errors, 0);
        const info = await local.info();
        t.diagnostic(`${info.doc_count} documents here`);
        sync.cancel();
        await local.destroy();
    }),
);
