// davenport top in a real terminal: what it shows, that it goes along with its size, and that it gives the terminal back.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { leashed } from '../support/child.mjs';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { BINARY, configuration, Proxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until, within } from '../support/wait.mjs';

const PTY = join(dirname(fileURLToPath(import.meta.url)), '..', 'support', 'pty.py');
const ENTERED = '\x1b[?1049h';
const LEFT = '\x1b[?1049l';
let regions;
let proxy;

before(async () => {
    regions = [await ScriptedRegion.start('left'), await ScriptedRegion.start('right')];
    regions.forEach((region) => region.on(/^GET \/db/, [answer(200, { from: region.name })]));
    proxy = new Proxy(configuration(regions));
    await proxy.run();
    await until('both regions to be up', async () => (await proxy.status()).regions.every((region) => region.health === 'up'));
});
after(async () => {
    await proxy.stop();
    await Promise.all(regions.map((region) => region.close()));
});

/** A terminal in which davenport top runs. */
class Terminal {
    /** One that shows its keys. A proxy that stood still for longer than the first question waits is asked again. */
    static open(...args) {
        return until('davenport top', async () => {
            const terminal = new Terminal(...args);
            await until('the keys, or the end', () => terminal.over || terminal.screen().some((line) => /^q quit/.test(line)));
            return !(terminal.over && /timed out after/.test(terminal.said)) && terminal;
        });
    }

    constructor(rows, columns, { admin = proxy.admin.slice('http://'.length), env = {} } = {}) {
        this.said = '';
        // A sanitizer would keep a crash to itself (handle_segv=2), and the terminal would stay as it is.
        const sanitizer = `${process.env.ASAN_OPTIONS ?? ''}:handle_segv=1`;
        const all = { ...process.env, ASAN_OPTIONS: sanitizer, TERM: 'xterm-256color', ...env };
        this.child = leashed('python3', [PTY, String(rows), String(columns), BINARY, 'top', '--admin', admin], { env: all, stdio: ['pipe', 'pipe', 'inherit'] });
        this.child.stdout.setEncoding('utf8');
        this.child.stdout.on('data', (part) => (this.said += part));
        this.over = false;
        this.exited = new Promise((resolve) => this.child.once('close', resolve)).then(() => (this.over = true));
    }

    tell(line) {
        this.child.stdin.write(`${line}\n`);
    }

    /** The last whole screen, a string a line, without colours. */
    screen() {
        const whole = this.said.slice(0, this.said.lastIndexOf('\x1b[J'));
        const from = whole.lastIndexOf('\x1b[H');
        // eslint-disable-next-line no-control-regex
        return from < 0 ? [] : whole.slice(from).replace(/\x1b\[[?0-9;]*[A-Za-z]/g, '').replaceAll('\r', '').split('\n');
    }

    shows(what, pattern) {
        return until(what, () => this.screen().some((line) => pattern.test(line)));
    }

    /** How it ended, and what became of the terminal. */
    async end() {
        await within('the end of davenport top', this.exited);
        return JSON.parse(this.said.trimEnd().split('\n').at(-1));
    }
}

const given_back = { echo: true, canonical: true };

test('80x24: rates, regions, journal; s sorts; q quits', async () => {
    const terminal = await Terminal.open(24, 80);
    await terminal.shows('the keys', /^q quit {2}s sort: as configured/);
    const lines = terminal.screen();
    assert.ok(lines.length <= 24);
    assert.ok(lines.every((line) => line.length <= 80));
    assert.match(lines[0], /^davenport .* http:\/\/127\.0\.0\.1:\d+ {2}up .* UTC$/);
    assert.match(lines[1], /^traffic left for .* ready$/);
    assert.ok(lines.some((line) => /^> left +up /.test(line)));
    assert.ok(lines.some((line) => /^ {2}right +up /.test(line)));
    assert.ok(lines.some((line) => /JOURNAL/.test(line)));
    await until('requests to be seen', async () => {
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
        return terminal.screen().some((line) => /^> left +up .* ms +[0-9.]*[1-9][0-9.]* /.test(line));
    });
    terminal.tell('key s');
    await terminal.shows('another order', /s sort: name/);
    assert.equal((await proxy.order('freeze', { reason: 'seen live' })).status, 200);
    await terminal.shows('the order', /seen live/);
    await terminal.shows('that it is frozen', /^traffic left .*frozen/);
    assert.equal((await proxy.order('unfreeze')).status, 200);
    terminal.tell('key q');
    assert.deepEqual(await terminal.end(), { code: 0, signal: null, ...given_back });
    assert.ok(terminal.said.includes(ENTERED) && terminal.said.lastIndexOf(LEFT) > terminal.said.lastIndexOf(ENTERED));
});

test('another size is followed', async () => {
    const terminal = await Terminal.open(24, 80);
    terminal.tell('size 10 40');
    await until('a small screen', () => terminal.screen().length <= 10 && terminal.screen().every((line) => line.length <= 40) && terminal.screen().length > 2);
    terminal.tell('size 50 200');
    await until('a wide screen', () => terminal.screen().some((line) => line.length > 80));
    terminal.tell('key q');
    assert.equal((await terminal.end()).code, 0);
});

for (const [what, command, signal] of [
    ['Ctrl-C', 'key \\x03', 'SIGINT'],
    ['SIGTERM', 'signal SIGTERM', 'SIGTERM'],
    ['SIGHUP', 'signal SIGHUP', 'SIGHUP'],
    ['a crash', 'signal SIGSEGV', 'SIGSEGV'],
    ['an abort', 'signal SIGABRT', 'SIGABRT'],
]) {
    test(`${what} ends it, and the terminal is as it was`, async () => {
        const terminal = await Terminal.open(24, 80);
        terminal.tell(command);
        assert.deepEqual(await terminal.end(), { code: null, signal, ...given_back });
        assert.ok(terminal.said.lastIndexOf(LEFT) > terminal.said.lastIndexOf(ENTERED));
    });
}

test('a proxy that goes away is waited for', async () => {
    const own = new Proxy(configuration(regions));
    await own.run();
    const terminal = await Terminal.open(24, 100, { admin: own.admin.slice('http://'.length) });
    await own.stop();
    await terminal.shows('that nobody answers', /^no proxy answers at /);
    terminal.tell('key q');
    assert.deepEqual(await terminal.end(), { code: 0, signal: null, ...given_back });
});

test('NO_COLOR is kept to; without a terminal it says so; --json needs none', async () => {
    const terminal = await Terminal.open(24, 80, { env: { NO_COLOR: '1' } });
    terminal.tell('key q');
    await terminal.end();
    assert.equal(/\x1b\[3[0-9]m/.test(terminal.said), false); // eslint-disable-line no-control-regex
    const piped = proxy.cli('top');
    assert.equal(piped.status, 2);
    assert.match(piped.stderr, /^davenport: top: needs a terminal/);
    const json = proxy.cli('top', '--json', '--count', '2');
    assert.equal(json.status, 0, json.stderr);
    const [first, second] = json.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(first.requests_per_s, null);
    assert.equal(typeof second.requests_per_s, 'number');
    assert.deepEqual(second.regions.map((region) => region.name), ['left', 'right']);
    const nobody = new Terminal(24, 80, { admin: '127.0.0.1:1' });
    assert.equal((await nobody.end()).code, 3);
    assert.equal(nobody.said.includes(ENTERED), false, 'the terminal was not touched');
});
