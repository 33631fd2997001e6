// A configuration for tests that are not about time: no rule of the proxy that measures it is met by a machine that is merely busy.
// Nothing is late, slow or silent before a minute has passed, and nobody who waits is sent away. What truly fails (refuses, resets,
// answers wrongly, is killed) is found out as soon as ever.

import { merge } from './proxy.mjs';

const CALM = {
    probe: { timeout_ms: 60_000, silent: 0 },
    traffic: { late_ms: 0, slow_ms: 0 },
    timeouts: { head_ms: 60_000, connect_ms: 60_000, try_ms: 0 },
    hold: { ms: 60_000 },
};

// The test's own settings over it.
export const calm = (over = {}) => merge(CALM, over);
