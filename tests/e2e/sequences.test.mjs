// Sequence maps as the control plane keeps them: marks come of the replication that it watches, outlive a restart in a file, and are
// shared through the regions.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { couch, request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, withCredentials } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { scratch, until } from '../support/wait.mjs';

const suite = useRegions(2, { replicated: true });
const watch = (more) => () => ({ regions: withCredentials(suite.regions), replication: { watch: 'on', interval_ms: 500 }, ...more });
const folder = join(scratch('state'), 'kept');

const url = (proxy) => `${clientUrl(suite.regions[0], proxy.origin)}/${suite.db}`;

// Both maps of the database, each with a mark.
function maps(proxy) {
    return until(
        'marks both ways',
        async () => {
            await couch(`${url(proxy)}/first`); // the database is in use
            const { sequences } = await proxy.status();
            const found = sequences.maps.filter((map) => map.database === suite.db && map.marks > 0);
            return found.length === 2 && found;
        },
        { every_ms: 200 },
    );
}

test(
    'marks come of the replication both ways, and are told',
    withProxy(() => suite.regions, watch({ state: { dir: folder } }), async (proxy) => {
        await couch(`${url(proxy)}/first`, { method: 'PUT', json: {} });
        const found = await maps(proxy);
        assert.deepEqual(found.map((map) => `${map.from}-${map.to}`).sort(), ['left-right', 'right-left']);
        const metrics = await proxy.metrics();
        assert.match(metrics, new RegExp(`davenport_sequence_marks\\{database="${suite.db}",from="left",to="right"\\} [1-9]`));
        const explain = await request(`${proxy.admin}/explain`);
        assert.match(explain.text, /feeds that lose it can go on elsewhere by \d+ sequence map/);
    }),
);

test(
    'and are there after a restart',
    withProxy(() => suite.regions, watch({ state: { dir: folder } }), async (proxy) => {
        const started = Date.parse((await proxy.status()).started);
        const found = await maps(proxy);
        assert.ok(found.every((map) => Date.parse(map.oldest) < started), JSON.stringify(found));
    }),
);

const shared = watch({ sequences: { share: 'yes' } });

test(
    'they are kept in the regions where that is wanted',
    withProxy(() => suite.regions, shared, async (proxy) => {
        await maps(proxy);
        for (const region of suite.regions) {
            const doc = await until(
                `marks in ${region.name}`,
                async () => {
                    await couch(`${url(proxy)}/first`);
                    const answer = await request(`${region.direct}/${suite.db}/_local/davenport-sequences`);
                    return answer.status === 200 && answer.json.maps.includes('"token"') && answer.json;
                },
                { every_ms: 200 },
            );
            assert.match(doc.maps, /^davenport-sequence-maps 1 /);
        }
    }),
);

test(
    'and known to a proxy that begins without any',
    withProxy(() => suite.regions, shared, async (proxy) => {
        const started = Date.parse((await proxy.status()).started);
        await until('an older mark', async () => (await maps(proxy)).some((map) => Date.parse(map.oldest) < started), { every_ms: 200 });
    }),
);
