// The calm of proxy.mjs for tests whose requests are the matter, not who waits for how long: nobody who waits is sent away either.

import { CALM, merge } from './proxy.mjs';

const PATIENT = merge(CALM, { timeouts: { head_ms: 60_000 }, hold: { ms: 60_000 } });

// The test's own settings over it.
export const calm = (over = {}) => merge(PATIENT, over);
