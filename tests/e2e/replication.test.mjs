// PouchDB replicates both ways through the proxy, live, while the active region dies under it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { couch } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, everywhere } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';
import { PouchParty } from './parties.mjs';

const suite = useRegions(2, { replicated: true });

const numbered = (prefix, from, to) => Array.from({ length: to - from }, (_, i) => `${prefix}-${from + i}`);

test(
    'a live two-way replication survives the death of the active region',
    withProxy(() => suite.regions, {}, async (proxy, t) => {
        const remote = `${clientUrl(suite.regions[0], proxy.origin)}/${suite.db}`;
        const pouch = new PouchParty(remote, 'app');
        try {
            const { local } = pouch;
            const has = async (wanted) => {
                const all = await local.allDocs({ keys: wanted });
                return all.rows.every((row) => row.value && !row.error);
            };
            await local.bulkDocs(numbered('local', 0, 50).map((_id) => ({ _id })));
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
            assert.deepEqual(pouch.errors, []);
            const info = await local.info();
            t.diagnostic(`${info.doc_count} documents here`);
        } finally {
            await pouch.stop(); // while there is a proxy
        }
    }),
);
