// The upper part of the dashboard as a picture, some minutes into an application's life and one into an outage: node dashboard_picture.mjs OUT.png

import http from 'node:http';
import { launch, openPage } from './browser.mjs';
import { CouchRegion } from './couch_region.mjs';
import { couch } from './http.mjs';
import { Proxy } from './proxy.mjs';
import { createDatabase } from './region.mjs';
import { pause, until } from './wait.mjs';
import { WriterLoad } from './writer_load.mjs';

const CALM_MS = 225_000;
const OUTAGE_MS = 42_000;

const [out] = process.argv.slice(2);
if (!out) {
    console.error('usage: node dashboard_picture.mjs OUT.png');
    process.exit(2);
}
const ids = Array.from({ length: 31 }, (_, i) => `order-${i}`);
const regions = await Promise.all(['us-south', 'eu-de'].map((name) => CouchRegion.start(name)));
const db = await createDatabase(regions, { replicated: true, name: 'orders' });
await couch(`${regions[0].direct}/${db}/_bulk_docs`, { method: 'POST', json: { docs: ids.map((_id) => ({ _id, n: 0 })) } });
const proxy = await Proxy.start(regions, {
    probe: { fall: 5, interval_ms: 1_000, fast_interval_ms: 500 },
    replication: { watch: 'on', interval_ms: 500, samples: 2 },
    failback: { mode: 'gated', hold_down_ms: 120_000 },
    hold: { ms: 10_000 },
    traffic: { late_ms: 0 },
});
const load = new WriterLoad(`${proxy.origin}/${db}`, ids);
// A follower, as applications have: it comes back.
let over = false;
let feed;
const followOn = () => {
    if (!over) {
        feed = http.get(`${proxy.origin}/${db}/_changes?feed=continuous&since=now&heartbeat=5000`, (res) => res.resume());
        feed.on('error', () => {}).on('close', () => setTimeout(followOn, 200));
    }
};
followOn();
const browser = await launch();
try {
    await pause(CALM_MS);
    await regions[0].kill();
    await proxy.untilActive('eu-de');
    await pause(OUTAGE_MS);
    const { page, complaints } = await openPage(browser, `${proxy.admin}/`, { own: true, width: 1180 });
    await page.locator('h1').filter({ hasText: 'us-south is down' }).waitFor();
    await until('the charts', async () => (await page.locator('#past canvas').count()) === 3);
    const { y, height } = await page.locator('#past .chart').last().boundingBox();
    await page.screenshot({ path: out, fullPage: true, clip: { x: 0, y: 0, width: 1180, height: Math.ceil(y + height + 8) } });
    if (complaints.length) {
        throw new Error(complaints.join('\n'));
    }
} finally {
    await browser.close();
    await load.stop();
    over = true;
    feed.destroy();
    await proxy.stop();
    await Promise.all(regions.map((region) => region.close()));
}
