// The page of a drill's result, in a real browser: it shows what the result says, in light and dark, on a phone and on paper, by keyboard,
// asks nobody for anything, and takes nothing in a result for markup.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { audit, launch, openPage, paint } from '../support/browser.mjs';
import { drillResult } from '../support/drill_result.mjs';
import { until } from '../support/wait.mjs';

const run = promisify(execFile);
let browser;
let work;
let made = 0;

before(async () => {
    work = await mkdtemp(join(tmpdir(), 'davenport-report-'));
    browser = await launch();
});
after(async () => {
    await browser?.close();
    await rm(work, { recursive: true, force: true });
});

async function reportOf(result) {
    const base = join(work, `r${++made}`);
    await writeFile(`${base}.json`, JSON.stringify(result));
    await run(process.env.DAVENPORT_BIN, ['report', `${base}.json`, '--output', `${base}.html`]);
    return pathToFileURL(`${base}.html`).href;
}

const open = async (result, options) => openPage(browser, await reportOf(result), options);
const sectionText = (page, id) => page.locator(`#${id}`).innerText();
const COLOURS = ['--chart-ok', '--chart-bad', '--chart-p50', '--chart-p90', '--chart-p99'];

test('a drill that passed', async () => {
    const { page, complaints, close } = await open(drillResult());
    assert.equal(await page.title(), 'Region kill: passed');
    const verdict = await page.locator('.verdict').innerText();
    assert.match(verdict, /Passed\s+All 9 objectives were met\.\s+Stop left at 10 s; traffic went to right 310 ms later and back to left at 44 s\./);
    assert.equal(await page.locator('#objectives .badge.good').count(), 9);
    assert.equal(await page.locator('.bad').count(), 0);
    assert.match(await sectionText(page, 'happened'), /10\.31 s[^]*failover[^]*left → right[^]*threshold 5[^]*310 ms after stop left/);
    assert.match(await sectionText(page, 'data'), /agreed 1\.24 s after the load/);
    assert.match(await sectionText(page, 'environment'), /Linux 6\.1\.0/);
    assert.match(await page.locator('#colophon pre').textContent(), /Copyright \(c\) \d+ Leon Sorokin/);
    const [rate, latency, share] = await paint(page, [...COLOURS, '--muted']);
    assert.ok(rate['--chart-ok'].pixels > 500, `the rate is drawn: ${JSON.stringify(rate)}`);
    assert.equal(rate['--chart-bad'].pixels, 0, 'nothing failed');
    for (const line of ['--chart-p50', '--chart-p90', '--chart-p99']) {
        assert.ok(latency[line].pixels > 500, `${line} is drawn: ${JSON.stringify(latency)}`);
    }
    assert.ok(share.painted > 0.5 * share.width * share.height, 'the regions fill their chart');
    assert.deepEqual(complaints, []);
    await close();
});

test('a drill that missed its objectives', async () => {
    const { page, complaints, close } = await open(drillResult({ wrong: true }));
    assert.match(await page.locator('.verdict').innerText(), /Missed\s+5 of 9 objectives were missed: failed requests, longest outage, /);
    assert.equal(await page.locator('#objectives .badge.bad').count(), 5);
    assert.match(await sectionText(page, 'data'), /4 findings[^]*drill-7f3a-000412[^]*2-5e0b8d6f94d77cf2a33d7f3bb1d8ac10/);
    assert.match(await sectionText(page, 'kinds'), /9 × status 503 outcome_unknown[^]*1 conflict told/);
    assert.equal(await page.locator('.outage').count(), 2);
    const [rate] = await paint(page, COLOURS);
    // Failures are between 10 and 14 s, and at 44 s, of 60.
    const plot = (second) => (92 + ((1140 - 56 - 92 - 20 - 0) * second) / 60) / (1140 - 56);
    assert.ok(rate['--chart-bad'].pixels > 100, JSON.stringify(rate));
    assert.ok(Math.abs(rate['--chart-bad'].from - plot(10)) < 0.06, `the first failure is where it was: ${JSON.stringify(rate)}`);
    assert.ok(Math.abs(rate['--chart-bad'].to - plot(45)) < 0.06, `so is the last: ${JSON.stringify(rate)}`);
    assert.deepEqual(complaints, []);
    await close();
});

test('many moves are told in one sentence', async () => {
    const result = drillResult();
    const move = (at_s, from, to) => ({ at_s, event: 'failover', from, to, reason: '' });
    const [first, last] = [move(10.31, 'left', 'right'), move(44, 'right', 'left')];
    const stories = [
        [[], 'Stop left at 10 s.'],
        [[first], 'Stop left at 10 s; traffic went to right 310 ms later.'],
        [[first, move(20, 'right', 'none'), move(21, 'none', 'left')], 'Stop left at 10 s; traffic went to right 310 ms later, nowhere at 20 s and back to left at 21 s.'],
        [[first, move(20, 'right', 'none'), move(21, 'none', 'right'), last], 'Stop left at 10 s; traffic went to right 310 ms later and, after 2 moves more, back to left at 44 s.'],
    ];
    const { page, complaints, visit, close } = await open(result);
    for (const [decisions, story] of stories) {
        await visit(await reportOf({ ...result, decisions }));
        assert.equal(await page.locator('.verdict p').last().innerText(), story);
    }
    assert.deepEqual(complaints, []);
    await close();
});

test('faults at one time and names without room do not cover each other', async () => {
    const result = drillResult({ seconds: 90 });
    result.timeline = Array.from({ length: 8 }, (_, i) => ({ at_s: 10 + 8 * i, until_s: 13 + 8 * i, what: 'fault', name: 'stop left', region: 'left' }));
    result.timeline.push({ at_s: 12, until_s: 30, what: 'fault', name: 'slow by 800 ms', region: 'left' });
    result.timeline.push({ at_s: 40, until_s: null, what: 'order', name: 'switch to left', region: 'left' });
    const { page, complaints, close } = await open(result);
    const lanes = await page.locator('.lane').evaluateAll((nodes) =>
        nodes.map((node) => ({
            name: node.querySelector('.lane-name').textContent,
            stretches: node.querySelectorAll('.stretch').length,
            names: [...node.querySelectorAll('.stretch span')].map((one) => one.textContent),
            boxes: [...node.querySelectorAll('.stretch, .stretch.beside > span, .stretch.before > span')].map((one) => one.getBoundingClientRect().toJSON()),
        })),
    );
    assert.deepEqual(
        lanes.map(({ boxes, ...lane }) => lane),
        [
            { name: 'Traffic', stretches: 3, names: ['left', 'right', 'left'] },
            { name: 'Orders', stretches: 1, names: ['switch to left'] },
            { name: 'left', stretches: 8, names: ['stop left'] },
            { name: '', stretches: 1, names: ['slow by 800 ms'] },
        ],
    );
    for (const { name, boxes } of lanes) {
        const sorted = boxes.sort((a, b) => a.left - b.left);
        sorted.slice(1).forEach((box, i) => assert.ok(box.left >= sorted[i].right - 1, `${name}: ${JSON.stringify([sorted[i], box])}`));
    }
    assert.deepEqual(complaints, []);
    await close();
});

test('colours follow the system while it is open', async () => {
    const { page, complaints, close } = await open(drillResult(), { colorScheme: 'light' });
    const look = async () => ({
        page: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
        charts: (await paint(page, COLOURS)).map((one) => one['--chart-ok'].pixels + one['--chart-p99'].pixels),
    });
    // The pixels are those of the colours in force, each time.
    const drawn = ({ charts }) => charts[0] > 500 && charts[1] > 500;
    const light = await look();
    assert.ok(drawn(light), JSON.stringify(light));
    await page.emulateMedia({ colorScheme: 'dark' });
    await until('dark colours, and charts in them', async () => {
        const dark = await look();
        return dark.page !== light.page && drawn(dark);
    });
    assert.deepEqual(complaints, []);
    await close();
});

test('by keyboard', async () => {
    const result = drillResult({ wrong: true });
    const { page, complaints, close } = await open(result);
    const slider = page.getByRole('slider', { name: 'Second of the drill' });
    await slider.focus();
    for (let i = 0; i < 11; i++) {
        await page.keyboard.press('ArrowRight');
    }
    assert.match(await slider.getAttribute('aria-valuetext'), /^11 s: 200 due, 178 ok, 22 failed, .*right 100 %$/);
    const legends = await page.locator('.legend').allInnerTexts();
    assert.match(legends[0], /failed 22/);
    assert.match(legends[2], /right 100 %/);
    assert.equal(await page.locator('.now').innerText(), '11 s');
    await page.getByText('The same as a table').focus();
    await page.keyboard.press('Enter');
    const rows = page.getByRole('region', { name: 'Figures of every second' }).getByRole('row');
    await rows.nth(60).waitFor();
    assert.equal(await rows.count(), 61);
    assert.match(await rows.nth(12).innerText(), /11 s\s+200\s+178\s+22\s+3/);
    assert.match((await page.locator('.legend').allInnerTexts())[0], /failed 64/, 'without the keyboard on it, all of it');
    assert.deepEqual(complaints, []);
    await close();
});

test('with a pointer', async () => {
    const { page, complaints, close } = await open(drillResult({ wrong: true }));
    const plot = await page.locator('.u-over').first().boundingBox();
    await page.mouse.move(plot.x + (plot.width * 12.9) / 60, plot.y + 20);
    await page.locator('.now:not([hidden])').waitFor();
    assert.equal(await page.locator('.now').innerText(), '12 s');
    assert.match((await page.locator('.legend').allInnerTexts())[0], /failed 17/);
    await page.mouse.move(5, 5);
    await page.locator('.now[hidden]').waitFor({ state: 'attached' });
    assert.deepEqual(complaints, []);
    await close();
});

test('an accessibility checker finds nothing', async () => {
    const url = await reportOf(drillResult({ wrong: true }));
    for (const colorScheme of ['light', 'dark']) {
        for (const width of [1200, 390]) {
            const { page, complaints, close } = await openPage(browser, url, { width, colorScheme });
            const { violations, passes } = await audit(page);
            assert.deepEqual(violations, [], `${colorScheme}, ${width} wide`);
            assert.ok(passes > 30, `${passes} rules were looked at`);
            assert.deepEqual(complaints, []);
            await close();
        }
    }
});

test('on a phone nothing is wider than it', async () => {
    const { page, complaints, close } = await open(drillResult({ wrong: true }), { width: 360, height: 740 });
    const { inner, all } = await page.evaluate(() => ({ inner: innerWidth, all: document.documentElement.scrollWidth }));
    assert.equal(all, inner);
    const why = await page.getByText('threshold 5').boundingBox();
    assert.ok(why.x >= 0 && why.x + why.width <= 360, JSON.stringify(why));
    assert.deepEqual(complaints, []);
    await close();
});

test('on paper it is light, sharp and whole', async () => {
    const { page, complaints, close } = await open(drillResult(), { colorScheme: 'dark' });
    await page.evaluate(() => {
        addEventListener('beforeprint', () => setTimeout(() => (window.printed = true)));
    });
    const pdf = await page.pdf({ format: 'A4', printBackground: true });
    assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
    const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g).length;
    assert.ok(pages >= 2 && pages <= 5, `${pages} pages`);
    await page.waitForFunction(() => window.printed);
    assert.equal(await page.evaluate(() => document.querySelectorAll('[data-paper], details[open]').length), 0, 'afterwards it is as before');
    // What is drawn while it is printed.
    await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
    const [rate] = await paint(page, COLOURS);
    assert.equal(rate.width, 2 * 690);
    assert.ok(rate['--chart-ok'].pixels > 500, JSON.stringify(rate));
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--page').trim()), '#ffffff');
    assert.equal(await page.locator('#plan details[open]').count(), 1, 'what was folded is shown');
    await page.evaluate(() => dispatchEvent(new Event('afterprint')));
    assert.deepEqual(complaints, []);
    await close();
});

test('nothing in a result is markup', async () => {
    const evil = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 1"><!--<script>';
    // Every text of it, and the names of regions and failures.
    const infect = (value) => {
        if (typeof value === 'string') {
            return `${value}${evil}`;
        }
        if (Array.isArray(value)) {
            return value.map(infect);
        }
        if (value && typeof value === 'object') {
            return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, infect(inside)]));
        }
        return value;
    };
    const sane = drillResult({ wrong: true });
    const result = infect(sane);
    result.started = sane.started;
    result.timeline.forEach((entry, i) => (entry.what = sane.timeline[i].what));
    const { left, right } = sane.series.regions;
    result.series.regions = { [`left${evil}`]: left, [`right${evil}`]: right, ['__proto__']: left };
    result.kinds[0].failures = { [evil]: 1 };
    const { page, complaints, close } = await open(result);
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.locator('script').count(), 2);
    assert.equal(await page.locator('h1').innerText(), `Region kill${evil}`);
    assert.ok((await sectionText(page, 'data')).includes(`drill-7f3a-000412${evil}`));
    assert.deepEqual(complaints, []);
    // And the policy of the page lets no script in, however it would come.
    await page.evaluate(() => {
        const script = document.createElement('script');
        script.textContent = 'window.broken = 2';
        document.body.append(script);
    });
    assert.equal(await page.evaluate(() => window.broken), undefined);
    await close();
});

test('what is missing is left out', async () => {
    const whole = drillResult({ wrong: true });
    const without = (change) => {
        const copy = structuredClone(whole);
        change(copy);
        return copy;
    };
    const results = [
        { format: 1 },
        Object.fromEntries(Object.keys(whole).map((name) => [name, name === 'format' ? 1 : null])),
        ...Object.keys(whole).filter((name) => name !== 'format').map((name) => without((copy) => delete copy[name])),
        without((copy) => (copy.series = { second: [0], due: [3], p50_ms: [null] })),
        without((copy) => Object.assign(copy, { verdict: 'aborted', aborted: { at_s: 12.3, why: 'failed 51 % of requests (limit 50 %)' } })),
    ];
    const { page, complaints, visit, close } = await open(whole);
    for (const result of results) {
        await visit(await reportOf(result));
        assert.equal(await page.locator('#colophon').isVisible(), true, JSON.stringify(result).slice(0, 200));
        assert.deepEqual(complaints, []);
        if (result.verdict === 'aborted') {
            assert.match(await page.locator('.verdict').innerText(), /Aborted\s+Stopped at 12\.3 s: failed 51 % of requests \(limit 50 %\)\./);
        }
    }
    await close();
});

test('the result can be had back', async () => {
    const result = drillResult();
    const { page, complaints, close } = await open(result, { acceptDownloads: true });
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the result as JSON' }).click();
    const saved = await download;
    assert.equal(saved.suggestedFilename(), 'region-kill.json');
    assert.deepEqual(JSON.parse(await readFile(await saved.path(), 'utf8')), result);
    assert.deepEqual(complaints.filter((one) => !one.startsWith('asked for blob:')), []);
    await close();
});
