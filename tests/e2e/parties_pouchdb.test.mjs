// Real clients through failovers (parties_at_work.mjs), in front of pouchdb-server: another implementation, whose sequences
// are numbers.
//
// It is slow, and dies when a document is read for replication while it is written: so nothing is changed there. It knows no
// `pending`, without which a full backup by couchbackup, and the SDK's ChangesFollower where it is to stop at the end, never come to
// one; and no `doc_del_count`, without which couchbackup takes no database for empty. So there the follower listens for ever, as
// everywhere here, backups are shallow, and none is restored.

import { NAMES, PouchRegion } from '../support/region.mjs';
import { partiesAtWork } from './parties_at_work.mjs';

const start = () => Promise.all(NAMES.slice(0, 2).map((name) => PouchRegion.start(name)));

partiesAtWork({ start, capable: false });
