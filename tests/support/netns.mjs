// A network of this test's own: a namespace a node, all on one switch that is a namespace too, and a leg of it in the namespace
// of the test. Packets can be dropped there, all or some, either way, and the line made narrow; nothing outside is touched.
//
// Needs root, iproute2 and nftables: whyNot() says what is missing. Namespaces are named after this process; they go when it ends,
// and those of test processes that were killed go when the next one begins.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { atExit } from './wait.mjs';

const PREFIX = 'dvft';
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

function run(command, args, options = {}) {
    return execFileSync(command, args, { encoding: 'utf8', env: { ...process.env, PATH }, stdio: ['pipe', 'pipe', 'pipe'], ...options });
}

const ip = (...args) => run('ip', args);
const inside = (space) => ['ip', 'netns', 'exec', space];

function works(command, args, options) {
    const done = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, PATH }, ...options });
    return done.error ? done.error.message : done.status === 0 ? null : done.stderr.trim();
}

// Why this machine can't make such a network; null: it can.
export function whyNot() {
    if (process.getuid() !== 0) {
        return 'network namespaces need root';
    }
    for (const [command, ...args] of [['ip', '-V'], ['nft', '--version'], ['tc', '-V']]) {
        if (works(command, args) !== null) {
            return `${command} is missing (scripts/setup test)`;
        }
    }
    const space = `${PREFIX}-${process.pid}-try`;
    const no = works('ip', ['netns', 'add', space]);
    if (no !== null) {
        return `this machine allows no network namespaces: ${no}`;
    }
    try {
        const rules = 'table inet try { chain in { type filter hook input priority 0; numgen random mod 100 < 1 drop; }; }';
        const nft = works('ip', ['netns', 'exec', space, 'nft', rules]);
        const veth = works('ip', ['-n', space, 'link', 'add', 'try0', 'type', 'veth', 'peer', 'name', 'try1']);
        const bridge = works('ip', ['-n', space, 'link', 'add', 'try2', 'type', 'bridge']);
        return nft || veth || bridge ? `this machine allows no packet filter or no virtual links: ${nft || veth || bridge}` : null;
    } finally {
        works('ip', ['netns', 'del', space]);
    }
}

function removeSpace(space) {
    for (const pid of (spawnSync('ip', ['netns', 'pids', space], { encoding: 'utf8', env: { ...process.env, PATH } }).stdout ?? '').split('\n').filter(Boolean)) {
        try {
            process.kill(Number(pid), 'SIGKILL');
        } catch {
            // it has ended
        }
    }
    works('ip', ['netns', 'del', space]);
}

// What test processes that are no more have left.
function removeLeft() {
    for (const line of ip('netns', 'list').split('\n')) {
        const found = new RegExp(`^(${PREFIX}-(\\d+)-\\S+)`).exec(line);
        if (found && !existsSync(`/proc/${found[2]}`)) {
            removeSpace(found[1]);
        }
    }
}

class Node {
    constructor(space, host) {
        Object.assign(this, { space, host, port: 5984, command: inside(space) });
    }

    // Rules of nftables for packets that come in and go out: 'drop', 'numgen random mod 100 < 30 drop', …; '': none.
    filter(into, out = into) {
        const chain = (hook, dev, rule) => `chain ${hook} {\n type filter hook ${hook} priority 0;\n ${rule && `${dev} != "lo" ${rule}`}\n}`;
        const rules = `flush ruleset\ntable inet fault {\n${chain('input', 'iif', into)}\n${chain('output', 'oif', out)}\n}\n`;
        run('ip', ['netns', 'exec', this.space, 'nft', '-f', '-'], { input: rules });
    }

    // The line to it takes so much a second, and what does not fit waits.
    narrow(rate) {
        run('ip', ['netns', 'exec', this.space, 'tc', 'qdisc', 'replace', 'dev', 'line', 'root', 'tbf', 'rate', rate, 'burst', '4kb', 'latency', '20s']);
        this.narrowed = true;
    }

    heal() {
        this.filter('');
        if (this.narrowed) {
            run('ip', ['netns', 'exec', this.space, 'tc', 'qdisc', 'del', 'dev', 'line', 'root']);
            this.narrowed = false;
        }
    }
}

export class Network {
    constructor(names) {
        removeLeft();
        const name = (suffix) => `${PREFIX}-${process.pid}-${suffix}`;
        const leg = `${PREFIX}${process.pid}`;
        const net = `198.18.${process.pid % 250}`; // set aside for tests of networks (RFC 2544)
        this.spaces = [];
        this.forget = atExit(() => this.remove());
        const add = (space) => {
            ip('netns', 'add', space);
            this.spaces.push(space);
            ip('-n', space, 'link', 'set', 'lo', 'up');
        };
        const hub = name('switch');
        add(hub);
        ip('-n', hub, 'link', 'add', 'hub', 'type', 'bridge');
        ip('-n', hub, 'link', 'set', 'hub', 'up');
        ip('link', 'add', leg, 'type', 'veth', 'peer', 'name', 'test', 'netns', hub);
        ip('addr', 'add', `${net}.1/24`, 'dev', leg);
        ip('link', 'set', leg, 'up');
        ip('-n', hub, 'link', 'set', 'test', 'master', 'hub', 'up');
        this.nodes = names.map((node, i) => {
            const made = new Node(name(node), `${net}.${i + 2}`);
            add(made.space);
            ip('-n', made.space, 'link', 'add', 'line', 'type', 'veth', 'peer', 'name', `to${i}`, 'netns', hub);
            ip('-n', made.space, 'addr', 'add', `${made.host}/24`, 'dev', 'line');
            ip('-n', made.space, 'link', 'set', 'line', 'up');
            ip('-n', hub, 'link', 'set', `to${i}`, 'master', 'hub', 'up');
            return made;
        });
    }

    // With the switch goes the leg.
    remove() {
        this.spaces.splice(0).forEach(removeSpace);
        this.forget();
    }
}
