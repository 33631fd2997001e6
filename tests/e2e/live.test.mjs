// The dashboard's feed as bytes: what comes at first and then, what a reader that comes back gets, and how many there may be.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { answer } from '../support/couchdb_rows.mjs';
import { couch, request } from '../support/http.mjs';
import { Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

const WATCHERS = 16; // as app/admin.h

let regions;
before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach((region) => region.on(/^GET \/db/, [answer(200, {})]));
});
after(() => Promise.all(regions.map((region) => region.close())));

const proxied = (body) => withProxy(() => regions, {}, body);
const up = (proxy) => until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));

// A reader of the feed: `events` grows as they come.
function listen(proxy, headers = {}) {
    const reader = { events: [], ended: false };
    return new Promise((resolve, reject) => {
        const asked = http.get(`${proxy.admin}/live`, { agent: false, headers }, (res) => {
            let rest = '';
            Object.assign(reader, { status: res.statusCode, headers: res.headers, close: () => asked.destroy() });
            res.setEncoding('utf8');
            res.on('data', (piece) => {
                const blocks = (rest + piece).split('\n\n');
                rest = blocks.pop();
                for (const block of blocks) {
                    const fields = block.split('\n').map((line) => line.split(/: (.*)/s));
                    const field = (name) => fields.filter(([one]) => one === name).map(([, value]) => value).join('\n');
                    reader.events.push({ event: field('event'), id: field('id'), data: JSON.parse(field('data')) });
                }
            });
            res.on('close', () => (reader.ended = true));
            res.on('error', () => {});
            resolve(reader);
        });
        asked.on('error', reject);
    });
}

const of = (reader, event) => reader.events.filter((one) => one.event === event);

test(
    'a feed tells the journal, then states, points and lines as they come',
    proxied(async (proxy) => {
        await up(proxy);
        const reader = await listen(proxy);
        assert.equal(reader.status, 200);
        assert.equal(reader.headers['content-type'], 'text/event-stream');
        assert.equal(reader.headers['cache-control'], 'no-store');
        await until('states', () => of(reader, 'state').length >= 3);
        const [{ data }] = of(reader, 'state');
        assert.equal(data.status.active, 'left');
        assert.equal(data.explain.active, 'left');
        await request(`${proxy.origin}/db/a`);
        // Where a point ends in the midst of it, each has a part.
        const sum = (pick) => of(reader, 'history').reduce((all, { data: point }) => all + (pick(point) ?? 0), 0);
        await until('points that count it', () => sum((point) => point.requests[0]) === 1 && sum((point) => point.regions[0].requests[0]) === 1);
        assert.equal((await proxy.move('right', 'to see it')).status, 200);
        const line = await until('the line', () => of(reader, 'journal').find((one) => one.data.event === 'switch'));
        assert.equal(line.data.reason, 'to see it');
        await until('the state after it', () => of(reader, 'state').at(-1).data.status.active === 'right');
        await until('the journal as a whole', async () => isDeepStrictEqual(of(reader, 'journal').map((one) => one.data), await proxy.events()));
        const past = await couch(`${proxy.admin}/history`);
        assert.equal(past.points, 720);
        assert.ok(past.requests.includes(1));
        reader.close();
    }),
);

test(
    'who comes back gets what was missed, once',
    proxied(async (proxy) => {
        await up(proxy);
        const first = await listen(proxy);
        await until('a state', () => of(first, 'state').length > 0);
        const { id } = of(first, 'journal').at(-1);
        first.close();
        await proxy.order('freeze', { reason: 'while nobody looked' });
        const second = await listen(proxy, { 'last-event-id': id });
        await until('a state', () => of(second, 'state').length > 0);
        assert.ok(of(second, 'journal').some((one) => one.data.event === 'freeze'));
        const [, number] = id.split('-');
        of(second, 'journal').forEach((one, i) => assert.equal(Number(one.id.split('-')[1]), Number(number) + 1 + i));
        second.close();
        const third = await listen(proxy, { 'last-event-id': `1-${number}` }); // of another process
        await until('a state', () => of(third, 'state').length > 0);
        await until('the journal as a whole', async () => isDeepStrictEqual(of(third, 'journal').map((one) => one.data), await proxy.events()));
        third.close();
    }),
);

test(
    'there may be so many, and no more',
    proxied(async (proxy) => {
        const readers = [];
        for (let i = 0; i < WATCHERS; i += 1) {
            readers.push(await listen(proxy));
        }
        const refused = await request(`${proxy.admin}/live`);
        assert.equal(refused.status, 503);
        assert.equal(refused.json.error, 'too_many_watchers');
        // The rest of the API has room all the same.
        assert.equal((await request(`${proxy.admin}/healthz`)).status, 200);
        readers.pop().close();
        await until('room for another', async () => {
            const another = await listen(proxy);
            another.close();
            return another.status === 200;
        });
        readers.forEach((one) => one.close());
    }),
);

test('the process ends, and so do its feeds, with its last line', async () => {
    const proxy = await Proxy.start(regions);
    const reader = await listen(proxy);
    await until('a state', () => of(reader, 'state').length > 0);
    await proxy.stop();
    await until('its end', () => reader.ended);
    assert.equal(of(reader, 'journal').at(-1).data.event, 'stopped');
});

test(
    'what a feed and a page need to be asked',
    proxied(async (proxy) => {
        const page = await request(`${proxy.admin}/`);
        assert.equal(page.status, 200);
        assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
        assert.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; .*connect-src 'self'; frame-ancestors 'none'$/);
        assert.equal(page.headers['x-content-type-options'], 'nosniff');
        assert.equal(page.headers['cache-control'], 'no-store');
        assert.doesNotMatch(page.text.replace(/<pre>[^]*?<\/pre>/g, ''), /(src|href)="(?!data:)/, 'nothing is asked for but by its script');
        assert.equal((await request(`${proxy.admin}/`, { method: 'HEAD' })).status, 200);
        assert.equal((await request(`${proxy.admin}/`, { method: 'POST', json: {} })).status, 405);
        // A page elsewhere that has its name resolve to us gets nothing.
        for (const path of ['/', '/live', '/history']) {
            assert.equal((await request(`${proxy.admin}${path}`, { headers: { host: 'evil.example' } })).status, 403);
        }
        // And the applications' address knows nothing of it.
        assert.equal((await request(`${proxy.origin}/live`)).status, 404);
    }),
);
