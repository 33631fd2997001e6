// The upper part of a drill's report as a picture: node picture.mjs REPORT.html OUT.png

import { pathToFileURL } from 'node:url';
import { launch, openPage } from './browser.mjs';

const [report, out] = process.argv.slice(2);
if (!out) {
    console.error('usage: node picture.mjs REPORT.html OUT.png');
    process.exit(2);
}
const browser = await launch();
try {
    const { page, complaints } = await openPage(browser, pathToFileURL(report).href, { width: 1000 });
    const last = await page.locator('.chart').last().boundingBox();
    await page.screenshot({ path: out, fullPage: true, clip: { x: 0, y: 0, width: 1000, height: Math.ceil(last.y + last.height + 6) } });
    if (complaints.length) {
        throw new Error(complaints.join('\n'));
    }
} finally {
    await browser.close();
}
