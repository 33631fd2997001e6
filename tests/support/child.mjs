// A child process: started, watched, stopped by its id, and never left behind. No child keeps the test's own process alive: after
// a test that failed before it could end its children, node ends all the same, and they with it.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { atExit, LIMIT_MS, within } from './wait.mjs';

// Such a process, with pipes where `options` say so.
export function leashed(command, args, options) {
    const child = spawn(command, args, options);
    child.unref();
    [child.stdin, child.stdout, child.stderr].forEach((pipe) => pipe?.unref?.());
    const forget = atExit(() => child.kill('SIGKILL'));
    child.once('exit', forget);
    return child;
}

export class Child {
    // `output`: a file that gets stdout and stderr, so that a full pipe never holds the child up.
    constructor(command, args, { cwd, env, output, detached = false }) {
        this.output = output;
        this.result = null;
        const fd = openSync(output, 'a');
        this.process = leashed(command, args, { cwd, env, detached, stdio: ['ignore', fd, fd] });
        closeSync(fd);
        this.pid = this.process.pid;
        this.exited = new Promise((resolve) => {
            const done = (result) => {
                this.result = result;
                resolve(result);
            };
            this.process.once('error', (error) => done({ error }));
            this.process.once('exit', (code, signal) => done({ code, signal }));
        });
    }

    get running() {
        return this.result === null;
    }

    signal(name) {
        if (this.running) {
            process.kill(this.pid, name);
        }
    }

    // The result of its end: {code, signal}.
    wait(limit_ms = LIMIT_MS) {
        return within(`the end of process ${this.pid}`, this.exited, limit_ms);
    }

    async kill() {
        this.signal('SIGKILL');
        return this.wait();
    }

    text() {
        return readFileSync(this.output, 'utf8');
    }

    // A member of /proc/PID/status in bytes, for example VmRSS.
    memory(member = 'VmRSS') {
        const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
        return Number(new RegExp(`^${member}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024;
    }
}
