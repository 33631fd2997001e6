// What client and origin of a case wait for each other with: conditions that are looked at again whenever a
// byte or an end has been seen anywhere. No case sleeps.

import { within } from '../support/wait.mjs';

const LIMIT_MS = 20_000;

export class Stage {
    constructor() {
        this.waiting = new Set();
    }

    changed() {
        for (const look of [...this.waiting]) {
            look();
        }
    }

    when(what, condition) {
        let look;
        const seen = new Promise((resolve, reject) => {
            look = () => {
                try {
                    if (condition()) {
                        resolve();
                    }
                } catch (error) {
                    reject(error);
                }
            };
            this.waiting.add(look);
            look();
        });
        return within(typeof what === 'function' ? what() : what, seen, LIMIT_MS).finally(() => this.waiting.delete(look));
    }
}

// Write text as latin1: at once, or each byte in a write of its own.
export async function write(socket, text, bytewise) {
    const bytes = Buffer.from(text, 'latin1');
    if (!bytewise) {
        socket.write(bytes);
        return;
    }
    for (let i = 0; i < bytes.length && !socket.destroyed; i += 1) {
        socket.write(bytes.subarray(i, i + 1));
        await new Promise((resolve) => setImmediate(resolve));
    }
}
