// What is going on, in words: pure functions of a status and an explanation.

// A stretch of time in whole units, the two that matter: 12 s, 3 min, 2 h 5 min, 3 d 4 h.
function age(seconds) {
    if (!isNumber(seconds)) {
        return NO;
    }
    const whole = Math.max(0, Math.floor(seconds));
    const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(whole / unit));
    if (whole < 60) {
        return `${whole} s`;
    }
    if (hours < 1) {
        return minutes < 10 && whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
    }
    return days < 1 ? `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ''}` : `${days} d${hours % 24 ? ` ${hours % 24} h` : ''}`;
}

// Shape and colour both say it.
const TONES = {
    good: { sign: '●', name: 'well' },
    warn: { sign: '▲', name: 'attention' },
    bad: { sign: '■', name: 'trouble' },
    idle: { sign: '○', name: 'not known' },
    set: { sign: '◆', name: 'by order' },
};

const sign = (tone) => el(`span.sign.${tone}`, { 'aria-hidden': 'true' }, TONES[tone].sign);

// Of a region's status: how it is to be looked at.
function toneOf(region) {
    if (region.health === 'down') {
        return 'bad';
    }
    if (region.drained || region.draining) {
        return 'set';
    }
    if (region.health === 'unknown') {
        return 'idle';
    }
    return region.health === 'suspect' || region.slow || region.trial || region.not_provisioned || region.held_down ? 'warn' : 'good';
}

// What is wrong with a region, as a predicate; null: nothing.
function plightOf(region) {
    if (region.health === 'down') {
        return { words: 'is down', why: text(region.why) };
    }
    if (region.drained) {
        return { words: 'is drained', why: text(record(region.drained).reason) };
    }
    if (region.draining) {
        return { words: 'asks to be drained', why: 'maintenance' };
    }
    if (region.health === 'suspect') {
        return { words: 'is suspect', why: text(region.why) };
    }
    if (region.trial) {
        return { words: 'is on trial', why: 'requests must show that it serves again' };
    }
    if (region.slow) {
        return { words: 'is slow', why: 'far slower than it was and than others are' };
    }
    if (region.not_provisioned) {
        return { words: 'lacks a database', why: list(region.missing_databases).join(', ') };
    }
    if (region.held_down) {
        return { words: 'is back and held', why: 'it was away and may lack data' };
    }
    return null;
}

// The sentence that answers "what is going on": {tone, title, why, spoken}. spoken: without times, so that it changes only when something happened.
function headlineOf(status) {
    const regions = list(status.regions);
    const active = regions.find((region) => region.active);
    const troubled = regions.filter((region) => plightOf(region));
    const say = (region, timed) => `${region.name} ${plightOf(region).words}${timed && region.health === 'down' ? ` for ${age(region.for_s)}` : ''}`;
    const clauses = (timed) => troubled.map((region) => say(region, timed)).join(', ');
    const why = troubled.length ? plightOf(troubled[0]).why : '';
    if (status.draining) {
        return made('set', 'This proxy is shutting down', 'requests under way are finished, no new ones are taken');
    }
    if (!active) {
        return made('bad', `No region can take requests, for ${age(status.active_for_s)}`, text(status.why), 'No region can take requests');
    }
    if (status.own_network_doubt) {
        return made('bad', 'Every region fell silent at once: more likely our own network than theirs', `${active.name} keeps the traffic, and everything is tried on`);
    }
    const lost = active.health === 'down' || active.draining;
    if (lost) {
        return made('bad', `${active.name} keeps the traffic, but ${say(active, true)}`, plightOf(active).why, `${active.name} keeps the traffic, but ${say(active, false)}`);
    }
    if (status.frozen) {
        const title = (timed) => `Frozen: ${active.name} keeps the traffic whatever happens${troubled.length ? `; ${clauses(timed)}` : ''}`;
        return made('set', title(true), text(record(status.frozen).reason), title(false));
    }
    if (troubled.length) {
        const worst = troubled.some((region) => region.health === 'down') ? 'warn' : toneOf(troubled[0]);
        const title = (timed) => (troubled.includes(active) ? `${active.name} is active and ${plightOf(active).words.replace(/^is /, '')}` : `${active.name} is active; ${clauses(timed)}`);
        return made(worst, title(true), why, title(false));
    }
    const rest = ['it is well, and there is no other', 'both regions are well'][regions.length - 1] ?? `all ${regions.length} regions are well`;
    return made('good', `${active.name} is active; ${rest}`, '');
}

const made = (tone, title, why, spoken = title) => ({ tone, title, why, spoken });

// Regions to which traffic can be sent by hand when it is where it should not be.
function waysOut(status) {
    const regions = list(status.regions);
    const active = regions.find((region) => region.active);
    const lost = !active || active.health === 'down' || active.draining;
    return lost ? regions.filter((region) => region !== active && region.health === 'up' && !region.drained && !region.draining) : [];
}

// What comes next and what stands: the explanation without what the headline said.
const nextOf = (explain) => list(explain.says).slice(1).map(text);

// How far the next decision is: [{words, now, of, tone}], at most `of` steps; and a percentage has {percent: true}.
function distancesOf(region, evidence) {
    if (region.health === 'down' || region.health === 'unknown') {
        return [{ words: 'good probes in a row, to be trusted', now: evidence.probes_passed_in_row, of: evidence.rise, tone: 'good' }];
    }
    const window = (evidence.window_bad || 0) + (evidence.window_good || 0);
    const distances = [
        { words: 'failed probes in a row, to be down', now: evidence.probes_failed_in_row, of: evidence.fall, tone: 'bad' },
        { words: 'requests in a row without an answer', now: evidence.unanswered_in_row, of: evidence.failures, tone: 'bad' },
    ];
    if (window > 0 && evidence.window_percent > 0) {
        distances.push({ words: 'of its last requests failed', now: Math.round((100 * evidence.window_bad) / window), of: evidence.window_percent, tone: 'bad', percent: true });
    }
    if (evidence.usual_ms > 0) {
        distances.push({ words: 'looks in a row that were slow', now: evidence.slow_looks_in_row, of: evidence.slow_looks, tone: 'bad' });
    }
    if ((region.held_down || region.falls > 0) && evidence.well_for_ms < evidence.hold_ms) {
        distances.push({ words: 'of its hold is over', now: Math.floor((100 * evidence.well_for_ms) / evidence.hold_ms), of: 100, tone: 'good', percent: true });
    }
    return distances;
}

const EVENT_TONES = {
    bad: ['region_down', 'endpoint_down', 'lost', 'failover', 'fail_open', 'own_network_doubt', 'credentials_withheld', 'canary_overdue', 'journal_overflow'],
    warn: ['suspect', 'endpoint_suspect', 'slow', 'endpoint_slow', 'refused', 'reload_refused', 'not_provisioned', 'endpoint_not_provisioned', 'fault', 'stalled', 'gate_shut'],
    good: ['region_up', 'endpoint_up', 'failback', 'regained', 'settled', 'slow_over', 'heal', 'drain_over', 'provisioned', 'own_network_doubt_over', 'canary_over'],
    set: ['switch', 'drain', 'resume', 'freeze', 'unfreeze', 'approve', 'revoke', 'unpin', 'reloaded'],
};
const eventTone = (line) => Object.keys(EVENT_TONES).find((tone) => EVENT_TONES[tone].includes(line.event)) ?? 'idle';

const MOVES = ['failover', 'failback', 'lost', 'regained', 'fail_open', 'removed', 'switch', 'drain', 'resume', 'unfreeze', 'unpin'];

// The traffic went elsewhere.
const isMove = (line) => MOVES.includes(line.event) && text(line.before) !== text(line.after);
