// Waiting for conditions, scratch folders, and what must happen when a test process ends.
//
// No test sleeps to let something happen: it waits for what it needs to see, with a limit that only a hang
// reaches (machines are shared, sanitizers are slow).

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const LIMIT_MS = Number(process.env.DAVENPORT_E2E_LIMIT_MS ?? 120_000);

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Ask `check` again and again until it gives something truthy, and give that. An exception in `check`
// counts as "not yet"; the last one is told when the limit is reached.
export async function until(what, check, { limit_ms = LIMIT_MS, every_ms = 20 } = {}) {
    const end = Date.now() + limit_ms;
    let last;
    for (;;) {
        try {
            const got = await check();
            if (got) {
                return got;
            }
            last = got;
        } catch (error) {
            last = error;
        }
        if (Date.now() > end) {
            throw new Error(`waited ${limit_ms} ms for: ${what}; last: ${last?.stack ?? last}`);
        }
        await pause(every_ms);
    }
}

// A promise that must settle within the limit.
export async function within(what, promise, limit_ms = LIMIT_MS) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited ${limit_ms} ms for: ${what}`)), limit_ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

// Things to undo when this process ends, however it ends short of SIGKILL. Synchronous, last in first out.
const undo = new Set();
let armed = false;

export function atExit(action) {
    if (!armed) {
        armed = true;
        process.on('exit', () => {
            for (const act of [...undo].reverse()) {
                try {
                    act();
                } catch {
                    // the next one still has its turn
                }
            }
        });
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
            process.on(signal, () => process.exit(1));
        }
    }
    undo.add(action);
    return () => undo.delete(action);
}

// A folder of this process's own, gone when it ends.
let root;
let folders = 0;

export function scratch(name) {
    if (!root) {
        root = mkdtempSync(join(tmpdir(), 'davenport-e2e-'));
        atExit(() => rmSync(root, { recursive: true, force: true, maxRetries: 3 }));
    }
    folders += 1;
    return mkdtempSync(join(root, `${folders}-${name}-`));
}
