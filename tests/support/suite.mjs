// What most test files begin with: regions, and a database in them, for the whole file.

import { after, before, beforeEach } from 'node:test';
import { createDatabase, dropDatabase, startRegions } from './region.mjs';

// {regions, db} once the file's tests run. Before each test every region is alive again.
export function useRegions(count = 2, { replicated = false } = {}) {
    const suite = { regions: [], db: null };
    before(async () => {
        suite.regions = await startRegions(count);
        suite.db = await createDatabase(suite.regions, { replicated });
    });
    beforeEach(() => Promise.all(suite.regions.map((region) => region.revive())));
    after(async () => {
        await Promise.all(suite.regions.map((region) => region.revive()));
        await dropDatabase(suite.regions, suite.db);
        await Promise.all(suite.regions.map((region) => region.close()));
    });
    return suite;
}
