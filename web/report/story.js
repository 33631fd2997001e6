// What a result says, without a page: pure functions of it. Every member may be missing.

const VERDICTS = {
    passed: { title: 'Passed', tone: 'good' },
    missed: { title: 'Missed', tone: 'bad' },
    aborted: { title: 'Aborted', tone: 'warn' },
    failed: { title: 'Not carried out', tone: 'bad' },
};

const sum = (values) => list(values).reduce((all, value) => all + (isNumber(value) ? value : 0), 0);

function verdictOf(result) {
    const verdict = VERDICTS[result.verdict] ?? { title: text(result.verdict) || 'No verdict', tone: 'warn' };
    const objectives = list(result.objectives);
    const missed = objectives.filter((one) => one.ok !== true);
    let why;
    if (result.aborted) {
        const at = record(result.aborted).at_s;
        why = `${isNumber(at) ? `Stopped at ${span(at)}: ` : ''}${text(record(result.aborted).why)}.`;
    } else if (objectives.length === 0) {
        why = 'No objective was stated.';
    } else if (missed.length === 0) {
        why = objectives.length === 1 ? 'The one objective was met.' : `All ${objectives.length} objectives were met.`;
    } else {
        why = `${missed.length} of ${objectives.length} objectives ${missed.length === 1 ? 'was' : 'were'} missed: ${missed.map((one) => text(one.words || one.name)).join(', ')}.`;
    }
    return { ...verdict, why };
}

const faultsOf = (result) => list(result.timeline).filter((entry) => entry.what === 'fault' && isNumber(entry.at_s));

// What the proxy says where no region takes traffic.
const NOWHERE = 'none';

// Decisions that moved traffic, in order. What else a decision changed (addresses, say) is between no two regions.
function movesOf(result) {
    const regions = regionsOf(result);
    return list(result.decisions).filter((one) => isNumber(one.at_s) && one.to && one.to !== one.from && (regions.includes(one.to) || regions.includes(one.from)));
}

// The last fault of this region (or of no region in particular) before a moment.
function faultBefore(result, region, at) {
    return faultsOf(result).findLast((fault) => fault.at_s <= at && (!region || !fault.region || fault.region === region));
}

// "Stop left at 10 s; traffic went to right 310 ms later and back to left at 44 s."
function storyOf(result) {
    const [fault] = faultsOf(result);
    if (!fault) {
        return '';
    }
    const moves = movesOf(result).filter((one) => one.at_s >= fault.at_s);
    const told = moves.length > 3 ? [moves[0], moves.at(-1)] : moves;
    const steps = told.map((move, i) => {
        const cause = faultBefore(result, move.from, move.at_s);
        const soon = cause && cause.at_s >= (i ? told[i - 1].at_s : fault.at_s);
        const back = moves.some((one) => one.at_s < move.at_s && one.from === move.to);
        const where = move.to === NOWHERE ? 'nowhere' : `${back ? 'back ' : ''}to ${text(move.to)}`;
        return `${where} ${soon ? `${span(move.at_s - cause.at_s)} later` : `at ${span(move.at_s)}`}`;
    });
    const between = moves.length - told.length;
    const last = `${between > 0 ? ` and, after ${many(between, 'move')} more,` : ' and'} ${steps.at(-1)}`;
    const went = steps.length === 0 ? '' : `; traffic went ${steps.slice(0, Math.max(steps.length - 1, 1)).join(', ')}${steps.length > 1 ? last : ''}`;
    const name = text(fault.name);
    return `${name.charAt(0).toUpperCase()}${name.slice(1)} at ${span(fault.at_s)}${went}.`;
}

// The few numbers that matter most: [{words, value, note, tone}].
function figuresOf(result) {
    const series = record(result.series);
    const due = sum(series.due);
    const failed = sum(series.failed);
    const slow = sum(series.slow);
    const outages = list(result.outages);
    // Where an objective is stated, it says what is good; else nothing but none is.
    const tone = (name, bad) => ((list(result.objectives).find((one) => one.name === name)?.ok ?? !bad) ? 'good' : 'bad');
    const longest = outages.reduce((most, one) => Math.max(most, one.to_s - one.from_s || 0), 0);
    const figures = [
        { words: 'Requests', value: count(due), note: `over ${span(list(series.second).length)}` },
        {
            words: 'Failed',
            value: count(failed),
            note: failed ? `${percent(failed, due)} of them` : slow ? `${count(slow)} slow` : 'none slow either',
            tone: tone('failed', failed > 0),
        },
        {
            words: 'Longest outage',
            value: outages.length ? span(longest) : 'none',
            note: outages.length > 1 ? `${outages.length} outages` : 'failed or over 2 s',
            tone: tone('outage_ms', outages.length > 0),
        },
    ];
    const [move] = movesOf(result);
    const cause = move && faultBefore(result, move.from, move.at_s);
    if (cause) {
        figures.push({ words: 'Traffic moved', value: span(move.at_s - cause.at_s), note: `after ${text(cause.name)}` });
    }
    const worst = list(series.p99_ms).reduce((most, value) => (isNumber(value) && value > most ? value : most), -1);
    if (isNumber(result.p99_ms)) {
        figures.push({ words: 'p99', value: ms(result.p99_ms), note: worst >= 0 ? `worst second ${ms(worst)}` : '' });
    } else if (worst >= 0) {
        figures.push({ words: 'p99, worst second', value: ms(worst), note: `at ${span(series.second[series.p99_ms.indexOf(worst)])}` });
    }
    const checker = result.checker && record(result.checker);
    if (checker) {
        const lost = Math.max(0, ...list(checker.regions).map((one) => one.lost || 0));
        figures.push({
            words: 'Writes lost',
            value: count(lost),
            note: `of ${count(checker.acknowledged)} written`,
            tone: tone('lost', lost > 0),
        });
    }
    return figures;
}

// Regions, each with a colour of its own everywhere: those of the environment first.
function regionsOf(result) {
    const names = [...list(record(result.environment).regions).map((one) => text(one.name)), ...Object.keys(record(record(result.series).regions))];
    return [...new Set(names)];
}

// [from, to] of the time axis: the load, and all that happened before and after it.
function domainOf(result) {
    const seconds = list(record(result.series).second);
    const ends = [1, isNumber(seconds.at(-1)) ? seconds.at(-1) + 1 : 0];
    for (const entry of list(result.timeline)) {
        ends.push(isNumber(entry.until_s) ? entry.until_s : 0, isNumber(entry.at_s) ? entry.at_s : 0);
    }
    ends.push(...movesOf(result).map((move) => move.at_s));
    return [0, Math.max(...ends)];
}

// Who had the traffic when: [{region, from, to}]; empty where no decision tells and several regions shared it.
function reignsOf(result) {
    const [begin, end] = domainOf(result);
    const moves = movesOf(result);
    let region = moves[0]?.from;
    if (!region) {
        const shares = Object.entries(record(record(result.series).regions)).map(([name, values]) => [name, sum(values)]);
        const all = shares.reduce((total, [, n]) => total + n, 0);
        region = shares.find(([, n]) => all > 0 && n / all > 0.99)?.[0];
    }
    if (!region) {
        return [];
    }
    const reigns = [];
    let from = begin;
    for (const move of moves) {
        reigns.push({ region, from, to: move.at_s });
        region = move.to;
        from = move.at_s;
    }
    reigns.push({ region, from, to: end });
    return reigns.filter((one) => one.to > one.from);
}

// What happened, in order: the drill's own deeds and the proxy's decisions. Decisions that moved traffic have a number.
function eventsOf(result) {
    const moves = movesOf(result);
    const deeds = list(result.timeline).map((entry) => ({
        at: entry.at_s,
        until: entry.until_s,
        kind: text(entry.what),
        name: text(entry.name),
        region: text(entry.region),
        detail: text(entry.detail),
    }));
    const decisions = list(result.decisions).map((one) => {
        const cause = moves.includes(one) ? faultBefore(result, one.from, one.at_s) : null;
        return {
            at: one.at_s,
            kind: 'decision',
            number: moves.indexOf(one) + 1,
            name: text(one.event).replaceAll('_', ' '),
            region: text(moves.includes(one) ? one.to : one.region || one.from),
            from: moves.includes(one) ? text(one.from) : '',
            detail: text(one.reason),
            epoch: one.epoch,
            after: cause ? { name: text(cause.name), seconds: one.at_s - cause.at_s } : null,
        };
    });
    return [...deeds, ...decisions].filter((event) => isNumber(event.at)).sort((a, b) => a.at - b.at);
}
