// A real browser for the pages that the program makes: Debian's Chromium, without a window.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

// The end-to-end tests' packages are not where this file is.
const packages = createRequire(new URL('../e2e/package.json', import.meta.url));
const { chromium } = packages('playwright-core');

// Generous, for the machine is shared: these are for a hang, not for slowness.
const HANG_MS = 120000;

export const launch = () =>
    chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'], timeout: HANG_MS });

// A page that writes down what must not be there: errors, warnings, and requests for anything but what it was sent to, or with `own`, its origin.
export async function openPage(browser, url, { width = 1200, height = 900, own = false, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, ...options });
    const page = await context.newPage();
    const complaints = [];
    let at;
    page.setDefaultTimeout(HANG_MS);
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.stack));
    page.on('request', (request) => {
        const allowed = own ? new URL(request.url()).origin === new URL(at).origin : request.url() === at;
        if (!allowed && !request.url().startsWith('data:')) {
            complaints.push(`asked for ${request.url()}`);
        }
    });
    const visit = (next) => {
        at = next;
        return page.goto(next);
    };
    await visit(url);
    return { page, complaints, visit, close: () => context.close() };
}

// What axe-core says against the page: contrast, names, roles, order. And how many of its rules found nothing to say.
export async function audit(page) {
    await page.evaluate(await readFile(packages.resolve('axe-core/axe.min.js'), 'utf8'));
    return page.evaluate(async () => {
        const { violations, passes } = await window.axe.run();
        const words = ({ id, nodes }) => nodes.map((node) => `${id}: ${node.target}: ${node.failureSummary}`);
        return { violations: violations.flatMap(words), passes: passes.length };
    });
}

// Of each canvas of the page: its size, and for each of these custom properties of the document, which hold colours, the pixels that
// are exactly of it: how many, and from where to where across (0 to 1).
export function paint(page, colours) {
    return page.evaluate((names) => {
        const hex = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        return [...document.querySelectorAll('canvas')].map((canvas) => {
            // Of a copy, so that looking changes nothing about the canvas.
            const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
            const context = copy.getContext('2d', { willReadFrequently: true });
            context.drawImage(canvas, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            const found = { width: canvas.width, height: canvas.height, painted: 0 };
            const wanted = names.map((name) => {
                found[name] = { pixels: 0, from: 1, to: 0 };
                return Number.parseInt(hex(name).slice(1, 7), 16);
            });
            for (let at = 0; at < data.length; at += 4) {
                found.painted += data[at + 3] > 0;
                const row = data[at + 3] === 255 ? wanted.indexOf((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]) : -1;
                if (row >= 0) {
                    const one = found[names[row]];
                    const x = ((at / 4) % canvas.width) / canvas.width;
                    one.pixels++;
                    one.from = Math.min(one.from, x);
                    one.to = Math.max(one.to, x);
                }
            }
            return found;
        });
    }, colours);
}
