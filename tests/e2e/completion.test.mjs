// Completion in the shells themselves: what davenport completion prints, sourced by a real bash and a real zsh.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BINARY, configuration, Proxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { scratch } from '../support/wait.mjs';

// Both complete in a folder with two plans in it; "davenport" is the program under test, and a proxy runs for the names of regions.
const folder = scratch('completion');
const bin = join(folder, 'bin');
let regions;
let proxy;
let env;

before(async () => {
    mkdirSync(bin);
    mkdirSync(join(folder, 'plans'));
    ['kill.json', 'gray.json'].forEach((name) => writeFileSync(join(folder, 'plans', name), '{}'));
    symlinkSync(BINARY, join(bin, 'davenport'));
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    proxy = new Proxy(configuration(regions));
    await proxy.run();
    env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, DAVENPORT_ADMIN: proxy.admin.slice('http://'.length) };
});
after(async () => {
    await proxy.stop();
    await Promise.all(regions.map((region) => region.close()));
});

const printed = (shell) => Proxy.run(['completion', shell]).stdout;

/** What bash would offer for this line, as its own completion machinery is called. */
const bash = (...words) => {
    const script = `
        . <(davenport completion bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _davenport
        printf '%s\\n' "\${COMPREPLY[@]}"`;
    const got = spawnSync('bash', ['-c', script, 'bash', 'davenport', ...words], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(got.status, 0, got.stderr);
    return got.stdout.split('\n').filter(Boolean);
};

test('bash completes commands, options, words, files and regions', () => {
    assert.deepEqual(bash('stat'), ['status']);
    assert.deepEqual(bash('f'), ['freeze', 'fault']);
    assert.deepEqual(bash('status', '--w'), ['--watch']);
    assert.deepEqual(bash('fault', 'left', 'd'), ['dark']);
    assert.deepEqual(bash('fault', 'left', 'dark', '--for', '1'), ['10m', '1h']);
    assert.deepEqual(bash('completion', ''), ['bash', 'zsh']);
    assert.deepEqual(bash('help', 'con'), ['config']);
    assert.deepEqual(bash('drill', 'plans/').sort(), ['plans/gray.json', 'plans/kill.json']);
    assert.deepEqual(bash('check', '-c', 'plans/k'), ['plans/kill.json']);
    assert.deepEqual(bash('check', '--config', '=', 'plans/k'), ['plans/kill.json']);
    assert.deepEqual(bash('drill', '--output', 'pl'), ['plans']);
    assert.deepEqual(bash('switch', ''), ['left', 'right']);
    assert.deepEqual(bash('drain', 'r'), ['right']);
    assert.deepEqual(bash('switch', 'left', '--reason', ''), []);
});

test('the script for bash is clean', () => {
    const got = spawnSync('shellcheck', ['-s', 'bash', '-'], { input: printed('bash'), encoding: 'utf8' });
    assert.equal(got.status, 0, got.error ? String(got.error) : got.stdout);
});

/** What zsh does with a line and a tab, in a terminal of its own (zpty): the line as it then is. */
const zsh = (line) => {
    const functions = join(folder, 'functions');
    mkdirSync(functions, { recursive: true });
    writeFileSync(join(functions, '_davenport'), printed('zsh'));
    const script = `
        zmodload zsh/zpty
        zpty shell 'zsh -f -i'
        tell() { zpty -w shell "$1" }
        expect() {
            local got= line
            repeat 3000; do
                if zpty -rt shell line; then got+=$line; else sleep 0.02; fi
                [[ $got == *\${~1}* ]] && { answer=$got; return 0 }
            done
            print -ru2 -- "waited in vain for $1: $got"; exit 1
        }
        tell "PS1=; unsetopt zle_bracketed_paste; fpath=($2 \\$fpath); autoload -Uz compinit; compinit -u -D"
        tell "line() { print -r -- \\"@@\\$BUFFER@@\\"; BUFFER= }; zle -N line; bindkey '^X' line; print rea''dy"
        expect ready
        zpty -w -n shell "$1"$'\\t\\C-x'
        expect '@@*@@'
        print -r -- \${\${answer#*@@}%%@@*}`;
    const got = spawnSync('zsh', ['-f', '-c', script, 'zsh', line, functions], { cwd: folder, env: { ...env, TERM: 'dumb' }, encoding: 'utf8' });
    assert.equal(got.status, 0, got.stderr);
    return got.stdout.trim();
};

test('zsh completes commands, options, files and regions', () => {
    assert.equal(zsh('davenport stat'), 'davenport status');
    assert.equal(zsh('davenport status --wat'), 'davenport status --watch');
    assert.equal(zsh('davenport switch ri'), 'davenport switch right');
    assert.equal(zsh('davenport fault left fla'), 'davenport fault left flaky');
    assert.equal(zsh('davenport check -c plans/k'), 'davenport check -c plans/kill.json');
});
