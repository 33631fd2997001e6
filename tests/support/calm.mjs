// More than the calm of proxy.mjs, for tests whose requests are the matter and not who waits for how long: less than a minute means
// nothing, and nobody who waits is sent away.

import { merge } from './proxy.mjs';

const MINUTE = { probe: { timeout_ms: 60_000 }, timeouts: { head_ms: 60_000, connect_ms: 60_000 }, hold: { ms: 60_000 } };

// The test's own settings over it.
export const calm = (over = {}) => merge(MINUTE, over);
