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
    hold: { ms: 10_000 },
    traffic: { late_ms: 0 }, // a busy machine is no slow region
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

// Nobody writes, and every follower knows what these regions have, but for first revisions, which were there before it, and has been
// told all that the one that it asks has to tell.
async function settled(load, followers, regions, db) {
    await load.rest();
    for (const follower of followers) {
        await until(`a ${follower.kind} follower to know all`, () => {
            const known = new Set(follower.rows.map(({ id, rev }) => `${id} ${rev}`));
            const present = regions.flatMap((region) => [...region.databases.get(db).docs].map(([id, { winner }]) => ({ id, rev: winner })));
            const { own, region } = taken(follower.token);
            const database = regions.find((one) => one.name === region)?.databases.get(db);
            return (
                present.every(({ id, rev }) => rev.startsWith('1-') || known.has(`${id} ${rev}`)) &&
                database?.place(own).every((n, shard) => n >= database.now[shard])
            );
        });
    }
}

// Documents of which one region has a revision that the other one lacks. When replication brings it, they have changed there: a row of
// theirs is due, though it may well tell a revision that was told before.
function owed(from, to, db) {
    const known = to.databases.get(db).docs;
    const lacks = ([id, { leaves }]) => leaves.some((rev) => !known.get(id)?.revs.has(rev));
    return [...from.databases.get(db).docs].filter(lacks).map(([id]) => id);
}

// What a follower was told in the region that it went to begins behind the newest mark that its token allows.
function checkMove(move, { maps, regions, db, follower, next }) {
    const { region: from, caught_up_ms } = taken(move.asked);
    assert.equal(move.fate, 'translated', `${follower.kind}: ${move.asked}`);
    const to = regions.find((one) => one.name !== from);
    const { marks } = maps.find((map) => map.database === db && map.from === from && map.to === to.name);
    // The file tells whole milliseconds, so one at the very edge may not have counted.
    const mark = marks.findLast(({ read_ms }) => read_ms + 1 + MIN_AGE_MS <= caught_up_ms);
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
    let due = [];
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

        regions.forEach((region) => (region.stalled = true));
        await load.done(20); // some that are acknowledged and not carried over
        await left.kill();
        regions.forEach((region) => (region.stalled = false));
        await proxy.untilActive('right');
        await load.done(100);
        await settled(load, followers, [right], db);
        told.push(repeats());
        due = owed(left, right, db);
        assert.ok(due.length > 0);

        load.writing = true;
        await left.revive();
        await proxy.untilActive('left');
        await load.done(200);
        await until('all of them to have caught up there', () => followers.every(({ token }) => taken(token).caught_up_ms > 0));
        await settled(load, followers, regions, db);
        told.push(repeats());

        load.writing = true;
        await load.done(100);
        await right.kill(); // where the followers are
        await load.done(100);
        await settled(load, followers, [left], db);
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
        const said = moves.map((move, n) => checkMove(move, { maps, regions, db, follower, next: moves[n + 1]?.row }));
        t.diagnostic(`${kind}: ${rows.length} rows, told before after the loss, the return, the other's loss: ${told.map((one) => one[i].length)}; ${said.join('; ')}`);
        const more = told[1][i].slice(told[0][i].length);
        assert.ok(more.every((id) => due.includes(id)), `${kind}: rows again when the region returned: ${more}, due ${due}`);
        assert.ok(moves.some(({ asked }) => taken(asked).region === 'left') && moves.some(({ asked }) => taken(asked).region === 'right'));
    });
});
