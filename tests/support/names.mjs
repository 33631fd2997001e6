// Names with addresses of the test's choice, changed while the proxy runs: see names.h.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch } from './wait.mjs';

export class Names {
    constructor(names = {}) {
        this.file = join(scratch('names'), 'names');
        this.set(names);
    }

    // {name: ['::1', …]}; null in place of the list: lookups of it fail for now.
    set(names) {
        const lines = Object.entries(names).map(([name, ips]) => `${name} ${ips ? ips.join(' ') : '!'}\n`);
        writeFileSync(`${this.file}.new`, lines.join(''));
        renameSync(`${this.file}.new`, this.file);
    }

    // What the proxy's environment needs. The sanitizer's runtime wants to be first, but need not be.
    get env() {
        return {
            LD_PRELOAD: process.env.DAVENPORT_NAMES_SO,
            DAVENPORT_TEST_NAMES: this.file,
            ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
        };
    }
}
