// `davenport relay`, as a test runs it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.mjs';
import { request } from './http.mjs';
import { BINARY, SANITIZER_REPORT } from './proxy.mjs';
import { scratch, until } from './wait.mjs';

export class FaultRelay {
    // to: the server's port on 127.0.0.1, or HOST:PORT. args: more of the command line.
    static async start(to, args = []) {
        const relay = new FaultRelay();
        const folder = scratch('relay');
        const file = join(folder, 'ports.json');
        relay.child = new Child(BINARY, ['relay', '--to', typeof to === 'number' ? `127.0.0.1:${to}` : to, '--port-file', file, ...args], {
            cwd: folder,
            env: process.env,
            output: join(folder, 'output.txt'),
        });
        const told = await until('the relay to say its ports', () => {
            if (!relay.child.running) {
                return { dead: true };
            }
            return JSON.parse(readFileSync(file, 'utf8'));
        });
        assert.ok(!told.dead, `the relay ended: ${relay.child.text()}`);
        relay.port = Number(told.listen.split(':').at(-1));
        relay.origin = `http://${told.listen}`;
        relay.admin = `http://${told.admin}`;
        return relay;
    }

    async ask(method, path, json) {
        const answer = await request(`${this.admin}${path}`, { method, json, headers: { 'Davenport-Admin': '1' } });
        return { status: answer.status, body: answer.json };
    }

    async break(fault) {
        const { status, body } = await this.ask('PUT', '/fault', fault);
        assert.equal(status, 200, body.reason);
        return body;
    }

    async heal(kind = '') {
        const { status, body } = await this.ask('DELETE', `/fault${kind && `/${kind}`}`);
        assert.equal(status, 200, body.reason);
        return body;
    }

    async state() {
        return (await this.ask('GET', '/')).body;
    }

    async stop() {
        this.child.signal('SIGTERM');
        const result = await this.child.wait();
        assert.deepEqual(result, { code: 0, signal: null }, this.child.text());
        assert.doesNotMatch(this.child.text(), SANITIZER_REPORT);
    }
}
