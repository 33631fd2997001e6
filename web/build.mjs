// Make the pages that the program carries: node web/build.mjs OUT.c
//
// A page is one HTML file with everything in it: styles, scripts and licences are put into its template, and a
// Content-Security-Policy names them by their hashes, so nothing else on the page can run. A page to be kept as a file asks
// nobody for anything, has its policy within, and is cut in two where its data go (src/app/drill_report.c puts them there). One
// to be served may ask who served it, and is served with its policy. All are written as C arrays. The same sources give the
// same bytes.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const UPLOT = { what: 'uPlot', file: 'node_modules/uplot/LICENSE', package: 'node_modules/uplot/package.json' };

const PAGES = [
    {
        name: 'report',
        template: 'report/report.html',
        styles: ['node_modules/uplot/dist/uPlot.min.css', 'common/tokens.css', 'common/chart.css', 'report/report.css'],
        scripts: [
            'common/sharp.js',
            'node_modules/uplot/dist/uPlot.iife.min.js',
            'common/dom.js',
            'common/chart.js',
            'report/story.js',
            'report/charts.js',
            'report/report.js',
        ],
        licences: [UPLOT],
    },
    {
        name: 'dashboard',
        served: true,
        template: 'dashboard/dashboard.html',
        styles: ['node_modules/uplot/dist/uPlot.min.css', 'common/tokens.css', 'common/chart.css', 'dashboard/dashboard.css'],
        scripts: [
            'node_modules/uplot/dist/uPlot.iife.min.js',
            'common/dom.js',
            'common/chart.js',
            'dashboard/morph.js',
            'dashboard/feed.js',
            'dashboard/store.js',
            'dashboard/words.js',
            'dashboard/regions.js',
            'dashboard/past.js',
            'dashboard/tables.js',
            'dashboard/orders.js',
            'dashboard/main.js',
        ],
        licences: [UPLOT],
    },
];

const read = (file) => readFileSync(new URL(file, import.meta.url), 'utf8');
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const escape = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function inline(files, end) {
    const text = `\n${files.map(read).join('\n')}`;
    if (text.toLowerCase().includes(end)) {
        throw new Error(`${files.join(', ')}: ${end} would end the element they are put into`);
    }
    return text;
}

// One scope of our own, so that the files see each other and the page sees none of them.
const scripts = (files) => `\n(() => {\n'use strict';${inline(files, '</script')}\n})();\n`;

function licence({ what, file, package: about }) {
    const { version, license } = JSON.parse(read(about));
    return `<h3>${escape(`${what} ${version} (${license})`)}</h3>\n<pre>${escape(read(file).trim())}</pre>`;
}

// Its policy, and the page with everything in it but its data.
function assemble(page) {
    const style = inline(page.styles, '</style');
    const script = scripts(page.scripts);
    const policy = [
        "default-src 'none'",
        `script-src ${hash(script)}`,
        `style-src ${hash(style)}`,
        'img-src data:',
        "base-uri 'none'",
        "form-action 'none'",
        ...(page.served ? ["connect-src 'self'", "frame-ancestors 'none'"] : []),
    ].join('; ');
    const parts = {
        csp: policy,
        styles: style,
        scripts: script,
        licences: page.licences.map(licence).join('\n'),
    };
    const html = read(page.template)
        .split('@data@')
        .map((part) =>
            part.replace(/@(\w+)@/g, (_, name) => {
                if (!(name in parts)) {
                    throw new Error(`${page.template}: @${name}@ is nothing that is known`);
                }
                return parts[name];
            }),
        );
    if (html.length !== (page.served ? 1 : 2)) {
        throw new Error(`${page.template}: @data@ must stand there ${page.served ? 'never' : 'once'}`);
    }
    return { policy, html };
}

function array(name, text) {
    const bytes = Buffer.from(text);
    const lines = [];
    for (let at = 0; at < bytes.length; at += 24) {
        lines.push(`    ${[...bytes.subarray(at, at + 24)].join(',')},`);
    }
    return `const unsigned char dp_web_${name}[${bytes.length}] = {\n${lines.join('\n')}\n};\nconst size_t dp_web_${name}_bytes = ${bytes.length};\n`;
}

const out = process.argv[2];
if (!out) {
    console.error('usage: node web/build.mjs OUT.c');
    process.exit(2);
}
const text = ['/* Made by web/build.mjs. */\n#include "web/pages.h"\n'];
for (const page of PAGES) {
    const { policy, html } = assemble(page);
    if (page.served) {
        text.push(array(`${page.name}_html`, html[0]), array(`${page.name}_policy`, policy));
    } else {
        text.push(array(`${page.name}_head`, html[0]), array(`${page.name}_tail`, html[1]));
    }
}
writeFileSync(out, text.join('\n'));
