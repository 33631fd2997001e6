// Real clients through failovers (parties_at_work.mjs), in front of CouchDBs in memory, or of real servers where
// DAVENPORT_E2E_REGIONS names some (support/region.mjs).

import { CouchRegion } from '../support/couch_region.mjs';
import { NAMES, startRegions, usesRealServers } from '../support/region.mjs';
import { partiesAtWork } from './parties_at_work.mjs';

const inMemory = () => Promise.all(NAMES.slice(0, 2).map((name) => CouchRegion.start(name)));

partiesAtWork({ start: () => (usesRealServers() ? startRegions(2) : inMemory()), capable: true });
