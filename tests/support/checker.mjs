// The judge of what regions hold after failovers, against what clients did and were told (history.mjs).
//
//   lost          a write that was acknowledged is in no revision history of its document
//   doubled       one write made two documents, or two branches of one
//   denied        a write that was told to have failed (409) is there all the same
//   strange       a revision that no client asked for, or on another parent than was asked
//   conflict      two branches, be it a deleted one, of a document that only one client wrote, each time on the revision it
//             was told last
//   missed        a follower was never told the present state of a document
//   died          a follower ended by itself
//   diverged      the regions do not hold the same
//
// Clients here (writer.mjs) change only what they wrote themselves, each time on the revision that they were told last.
// So there is no conflict that they would have made without a proxy.

import { couch } from './http.mjs';
import { replicate } from './region.mjs';
import { LIMIT_MS, until } from './wait.mjs';

const generation = (rev) => Number(rev.split('-')[0]);

// CouchDB's choice: what is not deleted, then the longest history, then the greatest hash.
export function winner(leaves) {
    const order = (leaf) => [leaf.deleted ? 0 : 1, generation(leaf.rev), leaf.rev.split('-')[1]];
    return leaves.reduce((best, leaf) => {
        const [a, b] = [order(best), order(leaf)];
        const at = a.findIndex((part, i) => part !== b[i]);
        return at >= 0 && b[at] > a[at] ? leaf : best;
    });
}

async function leafRevisions(region, db) {
    const { results } = await couch(`${region.direct}/${db}/_changes?style=all_docs&since=0`);
    return new Map(
        results
            .filter((row) => !row.id.startsWith('_design/'))
            .map((row) => [row.id, row.changes.map((change) => change.rev).sort()]),
    );
}

// Everything a region holds: id -> its branches {rev, deleted, body, history: newest first}.
export async function contents(region, db) {
    const revisions = await leafRevisions(region, db);
    const wanted = [...revisions].flatMap(([id, revs]) => revs.map((rev) => ({ id, rev })));
    const out = new Map([...revisions.keys()].map((id) => [id, []]));
    for (let at = 0; at < wanted.length; at += 200) {
        const answer = await couch(`${region.direct}/${db}/_bulk_get?revs=true`, {
            method: 'POST',
            json: { docs: wanted.slice(at, at + 200) },
        });
        for (const { ok } of answer.results.flatMap((result) => result.docs)) {
            if (!ok) {
                continue; // changed since: the caller has seen to it that nothing does
            }
            const { start, ids } = ok._revisions;
            out.get(ok._id).push({
                rev: ok._rev,
                deleted: ok._deleted === true,
                body: ok,
                history: ids.map((hash, i) => `${start - i}-${hash}`),
            });
        }
    }
    return out;
}

// Until every region holds the same. Replications are begun anew: a region's job whose peer was away waits for
// longer and longer before it looks again.
export async function converge(regions, db, options = {}) {
    for (const from of regions) {
        for (const to of regions) {
            if (from !== to) {
                await replicate(from, to, db);
            }
        }
    }
    const text = async (region) => JSON.stringify([...(await leafRevisions(region, db))].sort(([a], [b]) => (a < b ? -1 : 1)));
    let before;
    await until(
        `the regions to hold the same in ${db}`,
        async () => {
            const all = await Promise.all(regions.map(text));
            const same = all.every((one) => one === all[0]);
            const still = same && all[0] === before;
            before = same ? all[0] : undefined;
            return still;
        },
        { every_ms: 150, ...options },
    );
}

function auditDocument(history, id, leaves, say) {
    const marks = new Set();
    const alive = leaves.filter((leaf) => !leaf.deleted);
    for (const leaf of alive) {
        const op = history.byMark.get(leaf.body.mark);
        if (!op || (op.id !== null && op.id !== id)) {
            say('strange', `${id} ${leaf.rev}: nobody wrote ${leaf.body.mark}`);
            continue;
        }
        if (marks.has(op.mark)) {
            say('doubled', `${id}: ${op.mark} on two branches`);
        }
        marks.add(op.mark);
        if (op.outcome === 'refused') {
            say('denied', `${id} ${leaf.rev}: ${op.kind} was answered ${op.status}, and is there`);
        }
        const parent = leaf.history[1] ?? null;
        if (op.parent !== parent) {
            say('strange', `${id} ${leaf.rev}: on ${parent}, not on ${op.parent}`);
        }
    }
    if (leaves.length > 1) {
        say('conflict', `${id}: ${leaves.map((leaf) => `${leaf.rev} (${leaf.deleted ? 'deleted' : leaf.body.mark})`).join(', ')}`);
    }
}

// Compare one region's contents with a history. Gives the findings, [{rule, what}].
export function audit(history, all) {
    const findings = [];
    const say = (rule, what) => findings.push({ rule, what });
    const owner = new Map();
    for (const [id, leaves] of [...all].filter(([name]) => !history.before.has(name))) {
        auditDocument(history, id, leaves, say);
        for (const leaf of leaves.filter((one) => one.body.mark !== undefined)) {
            const first = owner.get(leaf.body.mark);
            if (first !== undefined && first !== id) {
                say('doubled', `${leaf.body.mark} is both ${first} and ${id}`);
            }
            owner.set(leaf.body.mark, id);
        }
    }
    for (const op of history.ops.filter((one) => one.outcome === 'stored')) {
        const leaves = all.get(op.id) ?? [];
        if (!leaves.some((leaf) => leaf.history.includes(op.rev))) {
            say('lost', `${op.kind} of ${op.id} ${op.rev} (${op.mark})`);
        }
    }
    return findings;
}

// The documents of whose present state a follower was not told.
export function missed(told, all) {
    return [...all].filter(([id, leaves]) => !told.has(id, winner(leaves).rev)).map(([id, leaves]) => `${id} ${winner(leaves).rev}`);
}

// All of it, once the writers have stopped. Followers go on meanwhile and get time to be told the rest.
export async function judge(history, regions, db, { followers = [], limit_ms = LIMIT_MS } = {}) {
    const findings = [];
    await converge(regions, db).catch((error) => findings.push({ rule: 'diverged', what: error.message }));
    let all;
    for (const region of regions) {
        all = await contents(region, db);
        findings.push(...audit(history, all).map((finding) => ({ ...finding, region: region.name })));
    }
    for (const told of followers) {
        await until(`${told.name} to be told all`, () => told.died || missed(told, all).length === 0, { limit_ms }).catch(() => {
            findings.push(...missed(told, all).map((what) => ({ rule: 'missed', what: `${told.name}: ${what}` })));
        });
        if (told.died) {
            findings.push({ rule: 'died', what: `${told.name}: ${told.died}` });
        }
    }
    return { findings, documents: all.size };
}
