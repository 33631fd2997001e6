// A child process: started, watched, stopped by its id, and never left behind.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { atExit, LIMIT_MS, within } from './wait.mjs';

export class Child {
    // `output`: a file that gets stdout and stderr, so that a full pipe never holds the child up.
    constructor(command, args, { cwd, env, output, detached = false }) {
        this.output = output;
        this.result = null;
        const fd = openSync(output, 'a');
        this.process = spawn(command, args, { cwd, env, detached, stdio: ['ignore', fd, fd] });
        closeSync(fd);
        this.pid = this.process.pid;
        const forget = atExit(() => this.process.kill('SIGKILL'));
        this.exited = new Promise((resolve) => {
            const done = (result) => {
                forget();
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
