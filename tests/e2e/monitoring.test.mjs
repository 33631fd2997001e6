// What watches Davenport: alerts, dashboard, runbook and documents name only what the program has, and promtool agrees with them.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Proxy } from '../support/proxy.mjs';
import { scratch } from '../support/wait.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const read = (...path) => readFileSync(join(ROOT, ...path), 'utf8');

// The program's own table: name -> {type, labels}.
function metrics() {
    const help = Proxy.run(['help', 'metrics']);
    assert.equal(help.status, 0, help.stderr);
    const rows = [...help.stdout.matchAll(/^\* `(\w+)` \((\w+)(?: by ([^)]*))?\): /gm)];
    assert.ok(rows.length > 100, help.stdout);
    return new Map(rows.map(([, name, type, labels]) => [name, { type, labels: [...(labels ?? '').matchAll(/\w+/g)].map(([label]) => label) }]));
}

// Every selector of an expression: the metric, and the labels that it is chosen by.
function selectors(expr) {
    const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""');
    return [...bare.matchAll(/\b((?:davenport|process)_\w+)(?:\{([^}]*)\})?/g)].map(([, name, labels]) => ({
        name,
        labels: [...(labels ?? '').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label),
    }));
}

// Does the program have it, and by these labels? Prometheus adds job and instance.
function check(expr, where, table = metrics()) {
    for (const { name, labels } of selectors(expr)) {
        const base = table.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, '');
        const row = table.get(base);
        assert.ok(row, `${where}: there is no metric ${name}`);
        assert.equal(base === name, row.type !== 'histogram', `${where}: ${name} is asked for as if it were no ${row.type}`);
        const extra = labels.filter((label) => !['job', 'instance', 'le', ...row.labels].includes(label));
        assert.deepEqual(extra, [], `${where}: ${name} has no such label`);
        if (row.type === 'counter') {
            const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""');
            assert.match(bare, new RegExp(`(?:rate|increase)\\(${name}\\b`), `${where}: ${name} is a counter`);
        }
    }
}

function promtool(...args) {
    const got = spawnSync('promtool', args, { encoding: 'utf8', cwd: join(ROOT, 'conf', 'prometheus') });
    assert.equal(got.error, undefined, 'promtool (scripts/setup test)');
    assert.equal(got.status, 0, got.stdout + got.stderr);
    return got.stdout;
}

// The alerts as promtool understands the file: it has no way to print them, so by the shape of ours.
function alerts() {
    const rules = read('conf', 'prometheus', 'alerts.yml').split(/^ {6}- alert: /m).slice(1);
    return rules.map((text) => ({
        name: /^\w+/.exec(text)[0],
        expr: /^ {8}expr: ([^]*?)^ {8}(?:for|labels):/m.exec(text)[1],
        severity: /^ {8}labels: \{ severity: (\w+) \}$/m.exec(text)?.[1],
        runbook: /^ {10}runbook_url: (\S+)$/m.exec(text)?.[1],
    }));
}

test('the alerts are rules that promtool takes, all of them', () => {
    const [, found] = /SUCCESS: (\d+) rules found/.exec(promtool('check', 'rules', 'alerts.yml'));
    assert.equal(alerts().length, Number(found));
});

test('each alert fires when it should and not before, with its words', () => {
    promtool('test', 'rules', 'alerts_test.yml');
    const tested = new Set([...read('conf', 'prometheus', 'alerts_test.yml').matchAll(/^ {8}alertname: (\w+)$/gm)].map(([, name]) => name));
    assert.deepEqual([...new Set(alerts().map(({ name }) => name))].filter((name) => !tested.has(name)), []);
});

test('alerts ask for metrics that exist', () => {
    const table = metrics();
    for (const { name, expr, severity } of alerts()) {
        assert.ok(selectors(expr).length > 0 || expr.startsWith('up{'), name);
        check(expr, name, table);
        assert.ok(['critical', 'warning', 'info'].includes(severity), `${name}: severity ${severity}`);
    }
});

test('each alert has its section in the runbook, and each section its alert', () => {
    const runbook = read('docs', 'runbook.md');
    const sections = [...runbook.matchAll(/^### (\w+)\n\n([^]*?)(?=^##|(?![^]))/gm)];
    for (const { name, runbook: url } of alerts()) {
        assert.equal(url, `docs/runbook.md#${name.toLowerCase()}`);
    }
    assert.deepEqual(sections.map(([, name]) => name).sort(), [...new Set(alerts().map(({ name }) => name))].sort());
    for (const [, name, text] of sections) {
        const parts = ['Means', 'How bad', 'Over'].filter((part) => !text.includes(`* **${part}**`));
        assert.deepEqual(parts, [], name);
        assert.match(text, /\*\*(?:Look and type|Type)\*\*/, name);
        for (const [other] of text.matchAll(/\bDavenport[A-Z]\w+/g)) {
            assert.ok(runbook.includes(`### ${other}\n`), `${name} sends to ${other}, which is none`);
        }
    }
});

test('the runbook types commands that exist', () => {
    const commands = new Set([...Proxy.run(['help']).stdout.matchAll(/^ {2}([a-z-]+) {2,}/gm)].map(([, command]) => command));
    assert.ok(commands.has('explain'));
    for (const [, command] of read('docs', 'runbook.md').matchAll(/[`\n]davenport ([a-z-]+)/g)) {
        assert.ok(commands.has(command), `davenport ${command}`);
    }
});

test('documents name metrics that exist', () => {
    const table = metrics();
    const files = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];
    for (const file of files) {
        for (const [name] of read(file).matchAll(/\bdavenport_\w+[a-z]\b/g)) {
            assert.ok(table.has(name.replace(/_(?:bucket|sum|count)$/, '')) || table.has(name), `${file}: there is no metric ${name}`);
        }
    }
});

// ---- the dashboard ----

const dashboard = () => JSON.parse(read('conf', 'grafana', 'davenport.json'));
const queries = (board) => board.panels.flatMap((panel) => (panel.targets ?? []).map(({ expr }) => ({ where: panel.title, expr })));

test('the dashboard asks for metrics that exist, by its own variables', () => {
    const table = metrics();
    const board = dashboard();
    for (const { where, expr } of [...queries(board), ...board.annotations.list.map(({ name, expr }) => ({ where: name, expr }))]) {
        check(expr, where, table);
        assert.match(expr, /job=~"\$job", instance=~"\$instance"/, where);
    }
    for (const { name, query } of board.templating.list.filter(({ type }) => type === 'query')) {
        check(query.query, name, table);
    }
});

test('the dashboard can be imported anywhere: a variable for the data source, panels that do not overlap', () => {
    const board = dashboard();
    const variables = board.templating.list.map(({ name }) => name);
    assert.deepEqual(variables, ['datasource', 'job', 'instance']);
    assert.equal(board.templating.list[0].type, 'datasource');
    assert.ok(board.uid && board.title && board.schemaVersion > 30 && !('id' in board));
    const ids = board.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Set();
    for (const { title, type, gridPos: g, targets, datasource } of board.panels) {
        for (let x = g.x; x < g.x + g.w; x += 1) {
            for (let y = g.y; y < g.y + g.h; y += 1) {
                assert.ok(x < 24 && !taken.has(`${x}/${y}`), `${title} lies over another panel`);
                taken.add(`${x}/${y}`);
            }
        }
        if (type !== 'row') {
            assert.ok(targets.length > 0, title);
            [datasource, ...targets.map((target) => target.datasource)].forEach((source) => assert.equal(source.uid, '${datasource}', title));
            assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
        }
    }
});

test('the dashboard speaks PromQL', () => {
    const rules = queries(dashboard()).map(({ expr }, i) => {
        const filled = expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.+').replaceAll('$instance', '.+');
        return { record: `panel:${i}`, expr: filled };
    });
    const file = join(scratch('monitoring'), 'rules.json');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] })); // JSON is YAML
    promtool('check', 'rules', file);
});

test('the rules above find what is wrong', () => {
    const wrong = {
        'davenport_no_such == 1': /there is no metric/,
        'davenport_region_active{state="up"} == 1': /no such label/,
        'davenport_failovers_total > 0': /is a counter/,
        'davenport_loop_lag_seconds > 1': /as if it were no histogram/,
        'rate(davenport_epoch_bucket[5m])': /there is no metric|as if/,
    };
    for (const [expr, why] of Object.entries(wrong)) {
        assert.throws(() => check(expr, 'a test'), why, expr);
    }
});
