// The documents, against the program as it is: each key, command, option, test, file and heading that they name is there.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Proxy } from '../support/proxy.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const PAGES = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
const pages = PAGES.map((name) => ({ name, text: readFileSync(join(ROOT, name), 'utf8') }));

function printed(...args) {
    const { status, stdout, stderr } = Proxy.run(args);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
}

// "name: what is wrong" of each page; none is wanted.
function none(wrong) {
    const all = pages.flatMap(({ name, text }) => [...new Set(wrong(text, name))].map((what) => `${name}: ${what}`));
    assert.deepEqual(all, []);
}

// What stands between backticks, on one line.
const codes = (text) => [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map((match) => match[1]);
// Lines for a shell: those between fences that say so, and others' that have a prompt.
const commands = (text) =>
    [...text.matchAll(/^```(sh)?\n([\s\S]*?)^```/gm)].flatMap(([, shell, lines]) =>
        lines.split('\n').filter((line) => shell || line.startsWith('$ ')),
    );

test('keys of the configuration', () => {
    const keys = new Set();
    const sections = new Set();
    const walk = (schema, path) => {
        for (const [key, one] of Object.entries(schema.properties ?? {})) {
            const inner = [one, one.items, one.additionalProperties].find((each) => each?.properties);
            keys.add([...path, key].join('.'));
            if (inner) {
                sections.add(key);
                walk(inner, [...path, key]);
            }
        }
    };
    walk(printed('schema'), []);
    assert.ok(keys.size > 100 && sections.has('limits'));
    // A path may begin within a region or a database: `credentials.type`, `tls.pins`.
    const known = (path) => [...keys].some((key) => key === path || key.endsWith(`.${path}`));
    none((text) =>
        codes(text)
            .map((code) => code.replaceAll('[]', '').replaceAll('{}', '').replace(/^clients\.users\.[A-Z]+/, 'clients.users'))
            .filter((code) => /^[a-z_]+(\.[a-z_0-9]+)+$/.test(code) && sections.has(code.split('.')[0]))
            .filter((code) => !/\.(json|jsonl|md|c|h|def|mjs|log|sock|service|socket)$/.test(code))
            .filter((code) => !known(code)),
    );
});

test('commands and their options', () => {
    const table = printed('help', '--json').commands;
    const optionsOf = ({ options }) => new Set(['--help', '-h', ...options.flatMap((one) => [`--${one.name}`, `-${one.letter}`])]);
    none((text) =>
        [...codes(text), ...commands(text)].flatMap((line) =>
            [...line.replace(/\s#.*$/, '').matchAll(/(?:^|[ (])davenport (?!davenport )([a-z][a-z-]*)((?: [^|;&()`]*)?)/g)].flatMap(([, name, rest]) => {
                const command = table.find((one) => one.name === name);
                if (!command) {
                    return [`davenport ${name}`];
                }
                const known = optionsOf(command);
                return [...rest.matchAll(/(?:^| )(--?[a-z][a-z-]*)/g)].map((match) => match[1]).filter((one) => !known.has(one)).map((one) => `davenport ${name} ${one}`);
            }),
        ),
    );
});

test('tests', () => {
    const there = (name) => {
        const [kind, rest] = name.split(/\.(.*)/s);
        return kind === 'unit' ? existsSync(join(ROOT, 'tests', rest.split('.')[0])) : existsSync(join(ROOT, 'tests/e2e', `${rest}.test.mjs`));
    };
    none((text) => codes(text).filter((code) => /^(unit|e2e)\.[a-z_.]+$/.test(code) && !there(code)));
});

test('files and headings that are linked to', () => {
    const anchor = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').trim().replaceAll(' ', '-');
    const anchors = (text) => new Set([...text.matchAll(/^#+ (.+)$/gm)].map((match) => anchor(match[1])));
    none((text, name) =>
        [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
            .filter(([, file, heading]) => {
                const path = file ? join(ROOT, dirname(name), file) : join(ROOT, name);
                return !existsSync(path) || (heading && !anchors(readFileSync(path, 'utf8')).has(heading));
            })
            .map(([link]) => link),
    );
});

test('files of the repository', () => {
    none((text) => codes(text).filter((code) => /^(bench|cmake|conf|docker|docs|packaging|scripts|src|tests|web)\/[\w./-]+$/.test(code) && !existsSync(join(ROOT, code))));
});
