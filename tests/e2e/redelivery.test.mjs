// What followers of _changes are told twice when their region is lost, when it returns, and when the other one is lost: after a loss
// what came there since the newest mark that they may use, not a row more; at a return nothing, for they stay where they are.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { CouchRegion } from '../support/couch_region.mjs';
import { Follower } from '../support/follower.mjs';
import { couch } from '../support/http.mjs';
import { Proxy } from '../support/proxy.mjs';
import { createDatabase } from '../support/region.mjs';
import { readSequenceMaps } from '../support/sequence_maps.mjs';
import { scratch, until } from '../support/wait.mjs';
import { WriterLoad } from '../support/writer_load.mjs';

const MIN_AGE_MS = 1_000; // the least that is allowed
// Of so many each is written: the load's ten turns do not divide them.
const IDS = Array.from({ length: 31 }, (_, i) => `own-${i}`);

const config = (folder) => ({
    state: { dir: folder },
    sequences: { min_age_ms: MIN_AGE_MS, marks: 4_096 }, // none is thinned out
    replication: { watch: 'on', interval_ms: 500, samples: 2 },
    failback: { hold_down_ms: 500, ramp_ms: 0, pause_ms: 5_000 },
    hold: { ms: 60_000 },
});

// A token as clients see it.
function taken(token) {
    const [own, region, caught_up] = token.split(/[~.]/);
    return { own, region, caught_up_ms: Number(caught_up ?? 0) * 1_000 };
}

// Marks both ways, older than they need to be for who begins now. Tokens tell whole seconds.
async function marked(proxy, db) {
    await until('marks that have aged', async () => {
        const { sequences } = await proxy.status();
        const maps = sequences.maps.filter((map) => map.database === db && map.oldest);
        return maps.length === 2 && maps.every((map) => Date.parse(map.oldest) < Date.now() - MIN_AGE_MS - 2_000);
    });
}

// This revision and those that it was made on, "id rev": who is told it late never hears of those that it has replaced by then.
function lineage(regions, db, id, rev) {
    const tree = regions.map(({ databases }) => databases.get(db).docs.get(id)).find((one) => one?.revs.has(rev));
    const n = Number.parseInt(rev, 10);
    return tree.history(rev).map((hash, i) => `${id} ${n - i}-${hash}`);
}

// Nobody writes, and every follower knows what these regions have, but for first revisions, which were there before it, and has been
// told all that the one that it asks has to tell.
async function settled(load, followers, regions, alive, db) {
    await load.rest();
    for (const follower of followers) {
        await until(`a ${follower.kind} follower to know all`, () => {
            const known = new Set(follower.rows.flatMap(({ id, rev }) => lineage(regions, db, id, rev)));
            const present = alive.flatMap((region) => [...region.databases.get(db).docs].map(([id, { winner }]) => ({ id, rev: winner })));
            const missing = present.filter(({ id, rev }) => !rev.startsWith('1-') && !known.has(`${id} ${rev}`));
            const { own, region } = taken(follower.token);
            const database = alive.find((one) => one.name === region)?.databases.get(db);
            if (missing.length > 0 || !database?.place(own).every((n, shard) => n >= database.now[shard])) {
                throw new Error(`at ${follower.token}, missing ${JSON.stringify(missing)}`);
            }
            return true;
        });
    }
}

// While the other region returned a follower stayed in this one, and went on and on in its feed: what replication brought was told as it
// came, though it may well be a revision that was told before; no row was told twice.
function checkStay({ kind, rows, moves }, from, to, { name, databases }, db) {
    const database = databases.get(db);
    const came = moves.findLast(({ row }) => row <= from);
    const left = moves.find(({ row }) => row > from);
    assert.ok(came && (!left || left.row >= to), `${kind}: it left ${name} when the other one returned`);
    const last = database.shards.map(() => 0);
    for (const { id, rev, seq } of rows.slice(came.row, to)) {
        const { own, region } = taken(seq);
        const shard = database.shards.findIndex((one) => one.rows.has(id));
        const at = database.place(own)[shard];
        assert.equal(region, name);
        assert.ok(at > last[shard], `${kind}: ${id} ${rev} at ${at} of shard ${shard}, and it was at ${last[shard]}`);
        last[shard] = at;
    }
}

// When this region was left the proxy's worker knew all marks that were read until then: what renews the token of a feed that stays open
// comes to it together with them. A younger one may have been on its way to it.
function marksKnown(followers, from) {
    const open = followers.filter((follower) => follower.stays);
    const asked = open.flatMap(({ moves }) => moves.map((move) => taken(move.asked)).filter(({ region }) => region === from));
    return Math.min(...asked.map(({ caught_up_ms }) => caught_up_ms));
}

// What a follower was told in the region that it went to begins behind the newest mark that its token allows.
function checkMove(move, { maps, regions, db, followers, follower, next }) {
    const { region: from, caught_up_ms } = taken(move.asked);
    assert.equal(move.fate, 'translated', `${follower.kind}: ${move.asked}`);
    const to = regions.find((one) => one.name !== from);
    const { marks } = maps.find((map) => map.database === db && map.from === from && map.to === to.name);
    const known_ms = marksKnown(followers, from);
    // The file tells whole milliseconds, so one at the very edge may not have counted.
    const mark = marks.findLast(({ read_ms }) => read_ms + 1 + MIN_AGE_MS <= caught_up_ms && read_ms < known_ms);
    assert.ok(mark, `a mark for ${move.asked}`);
    const database = to.databases.get(db);
    const place = database.place(mark.token);
    const told = follower.rows.slice(move.row, next);
    for (const { id, rev, seq } of told) {
        const at = database.place(taken(seq).own);
        assert.equal(taken(seq).region, to.name);
        assert.ok(at.every((n, shard) => n >= place[shard]), `${follower.kind}: ${id} ${rev} at ${at} of ${to.name}, and the mark was ${place}`);
    }
    return `${from} to ${to.name} behind a mark ${((caught_up_ms - mark.read_ms) / 1_000).toFixed(1)} s older than the token`;
}

test('what is told twice is what came since the last mark that counts', async (t) => {
    const regions = await Promise.all(['left', 'right'].map((name) => CouchRegion.start(name)));
    const [left, right] = regions;
    const folder = join(scratch('state'), 'state');
    const db = await createDatabase(regions, { replicated: true, name: 'told' });
    const proxy = await Proxy.start(regions, config(folder));
    const base = `${proxy.origin}/${db}`;
    const repeats = () => followers.map((follower) => follower.repeats);
    const told = [];
    const stays = []; // when the region returned, and when they knew all: rows of each
    let followers = [];
    let load;
    try {
        await couch(`${base}/_bulk_docs`, { method: 'POST', json: { docs: IDS.map((_id) => ({ _id, n: 0 })) } });
        load = new WriterLoad(base, IDS);
        await marked(proxy, db);
        const { last_seq } = await couch(`${base}/_changes`);
        followers = ['normal', 'longpoll', 'continuous', 'eventsource'].map((kind) => new Follower(kind, base, last_seq));
        await load.done(300);
        await until('feeds that stay open to tell that their readers have come on since', () =>
            followers.every(({ token }) => taken(token).caught_up_ms > taken(last_seq).caught_up_ms),
        );

        // Some that are acknowledged and not carried over. One of them nobody writes again.
        regions.forEach((region) => (region.stalled = true));
        await couch(`${base}/away`, { method: 'PUT', json: {} });
        await Promise.all(followers.map((follower) => follower.knows(['away'])));
        await load.done(20);
        await left.kill();
        regions.forEach((region) => (region.stalled = false));
        await proxy.untilActive('right');
        await load.done(100);
        await settled(load, followers, regions, [right], db);
        told.push(repeats());
        assert.ok(left.databases.get(db).docs.has('away') && !right.databases.get(db).docs.has('away'));
        stays.push(followers.map(({ rows }) => rows.length));

        load.writing = true;
        await left.revive();
        await proxy.untilActive('left');
        await load.done(200);
        await until('all of them to have caught up there', () => followers.every(({ token }) => taken(token).caught_up_ms > 0));
        await settled(load, followers, regions, regions, db);
        told.push(repeats());
        stays.push(followers.map(({ rows }) => rows.length));

        load.writing = true;
        await load.done(100);
        await right.kill(); // where the followers are
        await load.done(100);
        await settled(load, followers, regions, [left], db);
        await until('all of them to have moved again', () => followers.every(({ moves }) => taken(moves.at(-1).asked).region === 'right'));
        told.push(repeats());
        assert.equal(load.count('failed'), 0, load.summary());
    } finally {
        await load?.stop();
        followers.forEach((follower) => follower.stop());
        await proxy.stop();
        await Promise.all(regions.map((region) => region.close()));
    }

    const maps = readSequenceMaps(folder);
    followers.forEach((follower, i) => {
        const { kind, rows, moves } = follower;
        const said = moves.map((move, n) => checkMove(move, { maps, regions, db, followers, follower, next: moves[n + 1]?.row }));
        t.diagnostic(`${kind}: ${rows.length} rows, told before after the loss, the return, the other's loss: ${told.map((one) => one[i].length)}; ${said.join('; ')}`);
        checkStay(follower, stays[0][i], stays[1][i], right, db);
        assert.ok(moves.some(({ asked }) => taken(asked).region === 'left') && moves.some(({ asked }) => taken(asked).region === 'right'));
    });
});
