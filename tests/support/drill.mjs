// A run of `davenport drill`: its plan in a folder of its own, what it says, what came of it.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.mjs';
import { BINARY } from './proxy.mjs';
import { scratch, until } from './wait.mjs';

export class Drill {
    constructor(plan, args = []) {
        this.folder = scratch('drill');
        this.plan = join(this.folder, 'plan.json');
        writeFileSync(this.plan, typeof plan === 'string' ? plan : JSON.stringify(plan, null, 1));
        this.args = ['drill', this.plan, '-o', join(this.folder, 'out'), ...args];
    }

    start() {
        this.child = new Child(BINARY, this.args, { cwd: this.folder, env: process.env, output: join(this.folder, 'output.txt') });
        return this;
    }

    ended() {
        return this.child.wait(180_000);
    }

    async end(code) {
        const result = await this.ended();
        assert.deepEqual(result, { code, signal: null }, this.child.text());
        return this;
    }

    run(code) {
        return this.start().end(code);
    }

    get said() {
        return this.child.text();
    }

    get result() {
        return JSON.parse(readFileSync(join(this.folder, 'out', 'result.json'), 'utf8'));
    }

    objective(name) {
        return this.result.objectives.find((one) => one.name === name);
    }

    // It is gone, and its guard has done what was to be done.
    guarded() {
        return until('the guard to be done', () => /the guard is done/.test(this.said));
    }

    async says(pattern) {
        await until(`the drill to say ${pattern}, or its end`, () => pattern.test(this.said) || !this.child.running);
        assert.match(this.said, pattern);
    }
}
