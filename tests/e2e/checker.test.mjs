// The judge of the parties' writes is judged itself: each way to betray a client is played once, and must be found.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { judge } from '../support/checker.mjs';
import { History } from '../support/history.mjs';
import { Mischief } from '../support/mischief.mjs';
import { clientUrl, createDatabase, dropDatabase, startRegions } from '../support/region.mjs';
import { until } from '../support/wait.mjs';
import { Writer } from '../support/writer.mjs';
import { nanoParty } from './parties.mjs';

let region;
let mischief;

before(async () => {
    [region] = await startRegions(1);
    mischief = await Mischief.start(region);
});
after(async () => {
    await mischief?.close();
    await region?.close();
});

// What the judge finds after some fifty operations with this trick among them: the rules that were broken.
async function found(trick) {
    const db = await createDatabase([region]);
    try {
        mischief.plan(trick);
        const client = nanoParty(`${clientUrl(region, mischief.origin)}/${db}`);
        const history = new History('honest');
        const told = client.follow();
        const writer = new Writer(history, client, { loops: 1, think_ms: 0 });
        await until('some operations', () => writer.steps >= 36);
        await writer.stop();
        assert.equal(mischief.played > 0, trick !== null, 'the trick was played');
        // What is hidden for ever is waited for in vain.
        const { findings } = await judge(history, [region], db, { followers: [told], ...(trick === 'hide' && { limit_ms: 3_000 }) });
        told.stop();
        return [...new Set(findings.map((finding) => finding.rule))].sort();
    } finally {
        await dropDatabase([region], db);
    }
}

test('nothing is found where nothing was done', async () => {
    assert.deepEqual(await found(null), []);
});

test('a read counts for a period only if it was answered in it', () => {
    const history = new History('read');
    history.reads.push(
        { began: 90, ended: 110, stale: true },
        { began: 110, ended: 120, stale: true },
        { began: 190, ended: 210, stale: true }, // what ended the period took it elsewhere
        { began: 120, ended: 320, stale: true },
        { began: 310, ended: 320, stale: false },
    );
    const within = history.readsWithin([[100, 200], [300, 400]]);
    assert.deepEqual(within.map(({ began }) => began), [110, 310]);
});

// The rule that each must break; others may break with it.
const RULES = {
    swallow: 'lost',
    invent: 'lost',
    twice: 'doubled',
    deny: 'denied',
    fork: 'conflict',
    alien: 'strange',
    reparent: 'strange',
    hide: 'missed',
    finish: 'died',
};

for (const trick of Object.keys(RULES)) {
    test(`${trick} is found`, async () => {
        const rules = await found(trick);
        assert.ok(rules.includes(RULES[trick]), `${trick}: ${rules}`);
    });
}
