// The dashboard in a real browser, before a real proxy and regions that are killed: it says what happens as it happens and what was
// before it was opened, carries orders out, loses the process and finds it again, in light and dark, on a phone, by keyboard.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { audit, launch, openPage, paint } from '../support/browser.mjs';
import { CouchRegion } from '../support/couch_region.mjs';
import { couch, request } from '../support/http.mjs';
import { configuration, merge, Proxy } from '../support/proxy.mjs';
import { createDatabase } from '../support/region.mjs';
import { pickPort } from '../support/sockets.mjs';
import { scratch, until } from '../support/wait.mjs';

let browser;
let regions;
let db;
before(async () => {
    browser = await launch();
    regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    db = await createDatabase(regions, { replicated: true, name: 'seen' });
    await couch(`${regions[0].direct}/${db}/doc`, { method: 'PUT', json: { n: 1 } });
});
beforeEach(() => Promise.all(regions.map((region) => region.revive())));
after(async () => {
    await browser?.close();
    await Promise.all(regions.map((region) => region.close()));
});

// A busy machine is no slow region, and what was begun stays for as long as it is looked at.
const BASE = {
    probe: { path: '/_up', interval_ms: 300, fast_interval_ms: 100 },
    failback: { mode: 'manual', hold_down_ms: 600_000 },
    replication: { watch: 'on', interval_ms: 500, samples: 2 },
};

// A test with a proxy, some load, and a page that is open: body({proxy, page, complaints, load}).
function opened(over, body, options = {}) {
    return async () => {
        const proxy = await Proxy.start(regions, merge(BASE, over));
        const agent = new http.Agent({ keepAlive: true });
        const load = setInterval(() => request(`${proxy.origin}/${db}/doc`, { agent }).catch(() => {}), 50);
        try {
            await until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));
            await options.before?.(proxy);
            const { page, complaints, close } = await openPage(browser, `${proxy.admin}/`, { own: true, ...options });
            await page.locator('h1').waitFor();
            await body({ proxy, page, complaints });
            assert.deepEqual(complaints, []);
            await close();
        } finally {
            clearInterval(load);
            agent.destroy();
            await proxy.stop();
        }
    };
}

const headline = (page, words) => page.locator('h1').filter({ hasText: words }).waitFor();
const card = (page, name) => page.getByRole('article', { name });
// The dialog is open; what it would do is told.
async function rehearsed(page, words) {
    await page.locator('#order .outcome').filter({ hasText: words }).waitFor();
}

async function fill(page, reason, name = 'ann') {
    await page.getByLabel('Reason').fill(reason);
    await page.getByLabel('Your name').fill(name);
}

test(
    'a region is killed, and the page says so',
    opened({}, async ({ proxy, page }) => {
        await headline(page, /^left is active; both regions are well$/);
        assert.equal(await page.title(), '● left · Davenport');
        await card(page, 'left').filter({ hasText: /up\s*active/ }).waitFor();
        await page.locator('#figures').filter({ hasText: /Requests\s*[1-9][\d.]*\/s/ }).waitFor();
        await page.locator('#way-back').filter({ hasText: new RegExp(`${db}\\s*left → right\\s*●\\s*same`) }).waitFor();

        await regions[0].kill();
        await headline(page, /^right is active; left is down for \d/);
        await page.locator('#headline .why').filter({ hasText: /failed|no answer/ }).waitFor();
        await card(page, 'left').filter({ hasText: /■ down/ }).waitFor();
        await card(page, 'right').filter({ hasText: /up\s*active/ }).waitFor();
        const meter = card(page, 'left').getByRole('meter', { name: 'good probes in a row' });
        assert.equal(await meter.getAttribute('aria-valuetext'), '0 of 2 good probes in a row, to be trusted');
        const row = page.locator('#journal tr').filter({ hasText: 'failover' });
        await row.filter({ hasText: 'left → right' }).waitFor();
        assert.match(await row.innerText(), /left is down: /);
        assert.equal(await page.title(), '▲ right · Davenport');
        assert.match(await page.locator('#spoken').innerText(), /^right is active; left is down$/, 'said without a time, so that it is said once');

        await regions[0].revive();
        await card(page, 'left').filter({ hasText: /● up|▲ up/ }).waitFor();
        assert.equal(await proxy.active(), 'right');
    }),
);

test(
    'what was before it was opened is there, as charts and as a table',
    opened(
        {},
        async ({ page }) => {
            await page.locator('#past canvas').nth(2).waitFor();
            const [, times] = await until('the lines to be drawn', async () => {
                const charts = await paint(page, ['--r0', '--r1']);
                return charts[1]['--r0'].pixels > 20 && charts;
            });
            assert.ok(times['--r0'].pixels > 20, 'the times of the region that answered');
            assert.equal(times['--r1'].pixels, 0, 'and of no other');
            await page.getByText('The same as a table').click();
            const table = page.getByRole('region', { name: 'The last hour, minute by minute' });
            await table.locator('tbody tr').filter({ hasText: /\d\d:\d\d\s*[1-9]/ }).first().waitFor();
            // By keyboard, moment by moment.
            await page.getByRole('slider', { name: 'Moment of the last hour' }).focus();
            await page.keyboard.press('ArrowLeft');
            assert.match(await page.locator('#moment').innerText(), /^\d\d:\d\d:\d\d$/);
            assert.match((await page.locator('.legend').allInnerTexts())[0], /left [\d.]+\/s/);
        },
        { before: (proxy) => until('a point of the past', async () => (await couch(`${proxy.admin}/history`)).regions[0]?.requests.some((n) => n > 0)) },
    ),
);

test(
    'a switch, with its rehearsal, reason and confirmation; a drain and its end; a freeze',
    opened({}, async ({ proxy, page }) => {
        await headline(page, /^left is active/);
        await page.getByRole('button', { name: 'Switch to it: right' }).click();
        await rehearsed(page, /If you confirm:\s*Traffic\s*left → right\s*Pinned\s*no → yes/);
        const confirm = page.getByRole('button', { name: 'Switch to right now' });
        assert.equal(await confirm.isDisabled(), true);
        await page.getByText('A reason is wanted, for the journal.').waitFor();
        await page.getByLabel('Reason').fill("it's time");
        await page.getByText('Your name is wanted, for the journal.').waitFor();
        await page.getByLabel('Your name').fill('ann');
        assert.equal(await page.locator('#order .command').innerText(), "davenport switch right --reason 'it'\\''s time' --epoch 1");
        assert.equal(await proxy.active(), 'left', 'nothing was done yet');
        await page.getByLabel('For how long').selectOption('1 hour');
        await rehearsed(page, /If you confirm/);
        await confirm.click();
        await rehearsed(page, /Done \(epoch 2; (kept on disk|not on the disk yet: [^)]*)\)\s*Traffic\s*left → right/); // a disk may be slow
        await page.getByRole('button', { name: 'Close' }).click();
        await headline(page, /^right is active; both regions are well$/);
        const { pin } = await proxy.status();
        assert.match(pin.actor, /^ann@dashboard \(/);
        assert.equal(pin.reason, "it's time");
        assert.ok(Date.parse(pin.until) > Date.now() + 3_000_000);
        await page.locator('#journal tr').filter({ hasText: /switch[^]*it's time by ann@dashboard/ }).waitFor();

        await page.getByRole('button', { name: 'Drain: left' }).click();
        await rehearsed(page, /left\s*may take requests → drained/);
        assert.equal(await page.getByLabel('Your name').inputValue(), 'ann', 'asked once');
        await page.getByLabel('Reason').fill('disks');
        await page.getByRole('button', { name: 'Drain left now' }).click();
        await rehearsed(page, /Done/);
        await page.keyboard.press('Escape');
        await headline(page, /^right is active; left is drained$/);

        await page.getByRole('button', { name: 'Resume: left' }).click();
        await rehearsed(page, /left\s*drained → /);
        await page.getByLabel('Reason').fill('new disks');
        await page.getByRole('button', { name: 'Resume left now' }).click();
        await rehearsed(page, /Done/);
        await page.keyboard.press('Escape');
        await headline(page, /^right is active(?!; left is drained)/);

        await page.getByRole('button', { name: 'Freeze' }).click();
        await rehearsed(page, /By itself, traffic\s*moves → stays \(frozen\)/);
        await page.getByLabel('Reason').fill('a migration');
        await page.getByRole('button', { name: 'Freeze now' }).click();
        await rehearsed(page, /Done/);
        await page.keyboard.press('Escape');
        await headline(page, /^Frozen: right keeps the traffic whatever happens/);
        await page.getByRole('button', { name: 'Unfreeze' }).waitFor();
    }),
);

test(
    'what was decided meanwhile is noticed, on the page and in the proxy',
    opened({}, async ({ proxy, page, complaints }) => {
        await page.getByRole('button', { name: 'Switch to it: right' }).click();
        await rehearsed(page, /If you confirm/);
        await fill(page, 'a test');
        // Seen on the page: nothing can be confirmed until it is rehearsed again.
        await proxy.order('freeze', { reason: 'by somebody else' });
        await rehearsed(page, /Something was decided since this rehearsal \(epoch 2\)/);
        const confirm = page.getByRole('button', { name: 'Switch to right now' });
        assert.equal(await confirm.isDisabled(), true);
        await page.getByRole('button', { name: 'Rehearse again' }).click();
        await rehearsed(page, /If you confirm/);
        // Not seen on the page: the order is on its way when something is decided.
        await page.route('**/switch', async (route) => {
            await proxy.order('unfreeze', { reason: 'by somebody else, at the same time' });
            await route.continue();
        }, { times: 1 });
        await confirm.click();
        await rehearsed(page, /Something was decided since this rehearsal \(epoch 3\)\. Nothing was done\./);
        assert.equal(await proxy.active(), 'left');
        await page.getByRole('button', { name: 'Rehearse again' }).click();
        await rehearsed(page, /If you confirm/);
        await confirm.click();
        await rehearsed(page, /Done/);
        assert.equal(await proxy.active(), 'right');
        // The browser itself writes of an answer that is no success.
        assert.deepEqual(complaints.splice(0).map((one) => one.replace(/\(.*/, '').trim()), ['error: Failed to load resource: the server responded with a status of 412']);
    }),
);

test(
    'what a rule refuses, and what overrules it',
    opened({}, async ({ proxy, page }) => {
        await regions[1].kill();
        await headline(page, /^left is active; right is down/);
        await page.getByRole('button', { name: 'Switch to it: right' }).click();
        await rehearsed(page, /It would be refused \(region_down\): the region is down/);
        await fill(page, 'I know better');
        const confirm = page.getByRole('button', { name: 'Switch to right now' });
        assert.equal(await confirm.isDisabled(), true);
        await page.getByText('A rule refuses it.').waitFor();
        await page.getByLabel('Do it all the same').check();
        await rehearsed(page, /Traffic\s*left → right[^]*Against the rules \(region_down\)/);
        await confirm.click();
        await rehearsed(page, /Done/);
        assert.equal(await proxy.active(), 'right');
        await page.keyboard.press('Escape');
        await headline(page, /^right keeps the traffic, but right is down for/);
    }),
);

test('the process goes, and comes again', async () => {
    const proxy = new Proxy(configuration(regions, merge(BASE, { admin: { listen: `127.0.0.1:${await pickPort()}` } })));
    await proxy.run();
    const { page, complaints, close } = await openPage(browser, `${proxy.admin}/`, { own: true });
    await headline(page, /^left is active; both/);
    await proxy.stop();
    const contact = page.locator('#contact');
    await contact.filter({ hasText: /No contact: .*What you see is \d+ s old, of \d\d:\d\d:\d\d\./ }).waitFor();
    await headline(page, /^left is active; both|^This proxy is shutting down/); // what was told last, marked as old
    assert.equal(await page.locator('#page.stale').count(), 1);
    const button = page.getByRole('button', { name: 'Switch to it: right' });
    assert.equal(await button.isDisabled(), true);
    assert.equal(await button.getAttribute('title'), 'There is no contact to the proxy');
    await proxy.run();
    await contact.filter({ hasText: /^● live/ }).waitFor();
    await page.locator('#journal tr').filter({ hasText: 'stopped' }).waitFor();
    await until('a line of each process, once', async () => (await page.locator('#journal tr').filter({ hasText: 'started' }).count()) === 2);
    await page.locator('#page:not(.stale)').waitFor();
    await button.and(page.locator(':enabled')).waitFor();
    // The browser itself writes down each request that nobody took.
    const others = complaints.filter((one) => !/^error: Failed to load resource: net::ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|CONNECTION_RESET)/.test(one));
    assert.deepEqual(others, []);
    await close();
    await proxy.stop();
});

test('where there are tokens it asks for one, and a reader gives no orders', async () => {
    const folder = scratch('dashboard');
    const make = (name) => {
        const file = join(folder, name);
        const made = Proxy.run(['token', '--output', file, '--json']);
        assert.equal(made.status, 0, made.stderr);
        return { token: readFileSync(file, 'utf8').trim(), hash: JSON.parse(made.stdout).hash };
    };
    const [ops, eyes] = [make('ops'), make('eyes')];
    const tokens = { ops: { hash: ops.hash, role: 'operator' }, eyes: { hash: eyes.hash, role: 'read' } };
    const proxy = await Proxy.start(regions, merge(BASE, { admin: { tokens } }));
    const { page, complaints, close } = await openPage(browser, `${proxy.admin}/`, { own: true });
    const give = async (token) => {
        await page.getByRole('textbox', { name: 'Token' }).fill(token);
        await page.getByRole('button', { name: 'Go on' }).click();
    };
    const dialog = page.getByRole('dialog', { name: 'A token is needed' });
    await dialog.filter({ hasText: 'It stays in this tab' }).waitFor();
    await give(`dvp_${'0'.repeat(64)}`);
    await dialog.filter({ hasText: 'The one that was given is not taken: this token is not known.' }).waitFor();
    await give(eyes.token);
    await headline(page, /^left is active/);
    const button = page.getByRole('button', { name: 'Switch to it: right' });
    await page.getByText('Your token may read, not order.').waitFor();
    assert.equal(await button.isDisabled(), true);
    assert.equal(await button.getAttribute('title'), 'Your token may read, not order');
    assert.deepEqual(await page.evaluate(() => [document.cookie, localStorage.length, location.href.includes('dvp_')]), ['', 0, false]);

    // Another tab knows nothing of it.
    const second = await openPage(browser, `${proxy.admin}/`, { own: true });
    await second.page.getByRole('textbox', { name: 'Token' }).fill(ops.token);
    await second.page.getByRole('button', { name: 'Go on' }).click();
    await headline(second.page, /^left is active/);
    await second.page.getByRole('button', { name: 'Switch to it: right' }).click();
    await rehearsed(second.page, /If you confirm/);
    assert.equal(await second.page.getByLabel('Your name').count(), 0, 'the token says who it is');
    await second.page.getByLabel('Reason').fill('with a token');
    await second.page.getByRole('button', { name: 'Switch to right now' }).click();
    await rehearsed(second.page, /Done/);
    // The one who only reads sees it, and by whom.
    await headline(page, /^right is active/);
    await page.locator('#journal tr').filter({ hasText: /with a token by .*ops/ }).waitFor();
    const others = [...complaints, ...second.complaints].filter((one) => !one.includes('status of 401'));
    assert.deepEqual(others, []);
    await second.close();
    await close();
    await proxy.stop();
});

test(
    'by keyboard alone',
    opened({}, async ({ proxy, page }) => {
        await headline(page, /^left is active/);
        const to = async (name) => {
            for (let i = 0; i < 60; i += 1) {
                await page.keyboard.press('Tab');
                if (await page.evaluate((wanted) => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent) === wanted, name)) {
                    return;
                }
            }
            assert.fail(`no way to ${name}`);
        };
        await to('Switch to it: right');
        // It stays where it is while the page goes on.
        await until('two more states', async () => {
            const begun = await page.locator('#contact').innerText();
            await page.locator('#contact').filter({ hasNotText: begun.replace('● ', '') }).waitFor();
            return true;
        });
        await page.keyboard.press('Enter');
        await rehearsed(page, /If you confirm/);
        await page.keyboard.type('by hand');
        await page.keyboard.press('Tab');
        await page.keyboard.press('Tab');
        await page.keyboard.type('bob');
        await page.locator('#order-confirm:enabled').waitFor();
        await page.keyboard.press('Enter');
        await rehearsed(page, /Done/);
        await page.keyboard.press('Escape');
        await headline(page, /^right is active/);
        assert.equal(await proxy.active(), 'right');
    }),
);

// With much on it: a region down, an order standing, a dialog open.
async function crowded(page) {
    await headline(page, /left is down/);
    await page.locator('summary').filter({ hasText: 'Evidence of left' }).click();
    await page.getByText('The same as a table').click();
}

for (const [colorScheme, width] of [['light', 1200], ['dark', 1200], ['light', 360], ['dark', 360]]) {
    test(
        `an accessibility checker finds nothing, and nothing is too wide: ${colorScheme}, ${width} wide`,
        opened(
            {},
            async ({ page }) => {
                const wide = () => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
                const live = page.locator('#contact.live');
                const sound = async (what, rules) => {
                    // Where contact was lost meanwhile the page was paler than it is meant to be.
                    const { violations, passes } = await until(`${what} to be looked at in contact`, async () => {
                        await live.waitFor();
                        const found = await audit(page);
                        return (await live.count()) === 1 && found;
                    });
                    assert.deepEqual(violations, [], what);
                    assert.ok(passes >= rules, `${what}: ${passes} rules were looked at`);
                    const [all, inner] = await wide();
                    assert.equal(all, inner, what);
                };
                await regions[0].kill();
                await crowded(page);
                await page.locator('#past canvas').nth(2).waitFor();
                await sound('the page', 25);
                await page.getByRole('button', { name: 'Switch to it: left' }).click();
                await rehearsed(page, /It would be refused/);
                await sound('an order', 15); // the rest of the page is inert
                const box = await page.locator('#order').boundingBox();
                assert.ok(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
            },
            { colorScheme, width },
        ),
    );
}

// What the page makes of states that are made up here from a real one: [what, change, headline].
const SITUATIONS = [
    ['nothing is wrong', () => {}, /^left is active; both regions are well$/],
    ['the standby is down', ({ regions: [, right] }) => Object.assign(right, { health: 'down', for_s: 185 }), /^left is active; right is down for 3 min 5 s$/],
    ['the active region is suspect', ({ regions: [left] }) => Object.assign(left, { health: 'suspect' }), /^left is active and suspect$/],
    ['the standby is drained', ({ regions: [, right] }) => Object.assign(right, { drained: { reason: 'disks' } }), /^left is active; right is drained$/],
    ['the standby is back', ({ regions: [, right] }) => Object.assign(right, { held_down: true }), /^left is active; right is back and held$/],
    [
        'no region serves',
        (status) => {
            status.regions.forEach((region) => Object.assign(region, { health: 'down', active: false }));
            Object.assign(status, { active: null, active_for_s: 4000, why: 'both are down' });
        },
        /^No region can take requests, for 1 h 6 min$/,
    ],
    [
        'the lost region keeps the traffic',
        (status) => {
            Object.assign(status.regions[0], { health: 'down', for_s: 12 });
            status.frozen = { actor: 'ann', reason: 'a migration' };
        },
        /^left keeps the traffic, but left is down for 12 s$/,
    ],
    ['frozen', (status) => Object.assign(status, { frozen: { actor: 'ann', reason: 'a migration' } }), /^Frozen: left keeps the traffic whatever happens$/],
    ['our own network', (status) => Object.assign(status, { own_network_doubt: true }), /^Every region fell silent at once: more likely our own network than theirs$/],
    ['the end', (status) => Object.assign(status, { draining: true }), /^This proxy is shutting down$/],
    ['one region', (status) => status.regions.pop(), /^left is active; it is well, and there is no other$/],
];

test(
    'headlines of all that may happen, and states that lack anything',
    opened({}, async ({ proxy, page, complaints }) => {
        const [status, explain] = [await proxy.status(), await couch(`${proxy.admin}/explain`)];
        let told;
        await page.route('**/live', (route) => route.fulfill({ status: 200, contentType: 'text/event-stream', body: told }));
        const visit = async (...states) => {
            told = states.map((state) => `event: state\ndata: ${JSON.stringify(state)}\n\n`).join('');
            await page.reload();
            await page.locator('h1').waitFor();
        };
        for (const [what, change, words] of SITUATIONS) {
            const state = structuredClone({ status, explain });
            change(state.status);
            await visit(state);
            assert.match(await page.locator('h1').innerText(), words, what);
            assert.ok((await page.locator('.headline .sign').innerText()).trim(), 'a shape says it too');
        }
        // A way out is offered where the traffic is where it should not be.
        await visit({ status: { ...status, regions: [{ ...status.regions[0], health: 'down' }, status.regions[1]] }, explain });
        assert.equal(await page.locator('#headline').getByRole('button', { name: 'Switch to right', exact: true }).count(), 1);
        // One after the other, and at the end one that is seen: none of them stopped the page.
        await visit(
            ...Object.keys(status).map((name) => ({ status: { ...status, [name]: null }, explain })),
            ...Object.keys(status.regions[0]).map((name) => ({ status: { ...status, regions: [{ ...status.regions[0], [name]: null }, status.regions[1]] }, explain: {} })),
            { status: { ...status, active: 'left', draining: true }, explain },
        );
        await headline(page, /^This proxy is shutting down$/);
        assert.deepEqual(complaints.splice(0), []);
    }),
);

test(
    'nothing that is told is markup, and no other script runs',
    opened({}, async ({ proxy, page, complaints }) => {
        const evil = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>';
        await proxy.order('freeze', { reason: evil }, evil);
        await page.locator('#headline .why').filter({ hasText: evil }).waitFor();
        await page.locator('#journal tr').filter({ hasText: evil }).waitFor();
        assert.equal(await page.locator('img').count(), 0);
        assert.equal(await page.evaluate(() => window.broken), undefined);
        await page.evaluate(() => {
            const script = document.createElement('script');
            script.textContent = 'window.broken = 2';
            document.body.append(script);
        });
        assert.equal(await page.evaluate(() => window.broken), undefined);
        assert.equal(complaints.splice(0).filter((one) => !one.includes('Content Security Policy')).length, 0);
    }),
);
