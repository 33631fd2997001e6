// The page: each section from the result in it.

const MOST_FINDINGS = 200;

const ICONS = { good: '✓', bad: '✕', warn: '!' };

function when(started) {
    const date = new Date(text(started));
    return Number.isNaN(date.getTime()) ? text(started) : `${date.toISOString().slice(0, 10)} ${date.toISOString().slice(11, 19)} UTC`;
}

// A section with its heading, put there only if there is something in it.
function section(id, title, ...children) {
    const inside = children.flat(Infinity).filter(Boolean);
    if (inside.length) {
        byId('report').append(el('section', { id, 'aria-labelledby': `${id}-h` }, el('h2', { id: `${id}-h` }, title), ...inside));
    }
}

function chip(name) {
    if (!name) {
        return '';
    }
    const dot = el('i.dot', { 'aria-hidden': 'true' });
    dot.style.setProperty('--c', `var(${regionColour(regionsOf(RESULT), name)})`);
    return el('span.chip', null, dot, name);
}

function head(result) {
    const environment = record(result.environment);
    const verdict = verdictOf(result);
    const facts = [when(result.started), span(result.seconds), environment.host && `on ${text(environment.host)}`, result.version && `davenport ${text(result.version)}`];
    document.title = `${text(result.name) || 'Drill'}: ${verdict.title.toLowerCase()}`;
    byId('report').append(
        el('header', null, el('p.kind', null, 'Failover drill'), el('h1', null, text(result.name) || 'A drill without a name'), result.description && el('p.description', null, text(result.description)), el('p.facts.muted', null, facts.filter(Boolean).join('  ·  '))),
        el(
            `div.verdict.${verdict.tone}`,
            { role: 'group', 'aria-label': 'Verdict' },
            el('div.verdict-icon', { 'aria-hidden': 'true' }, ICONS[verdict.tone]),
            el('div', null, el('p.verdict-title', null, verdict.title), el('p', null, verdict.why), el('p', null, storyOf(result))),
        ),
        el(
            'dl.figures',
            null,
            figuresOf(result).map(({ words, value, note, tone }) => el('div', null, el('dt', null, words), el(`dd.value${tone ? `.${tone}` : ''}`, null, value), el('dd.note', null, note))),
        ),
    );
}

function objectives(result) {
    const rows = list(result.objectives).map((one) => {
        const tone = one.ok === true ? 'good' : 'bad';
        return [
            el('th', { scope: 'row' }, el(`span.badge.${tone}`, null, el('span', { 'aria-hidden': 'true' }, `${ICONS[tone]} `), one.ok === true ? 'met' : 'missed')),
            el('td.strong', null, text(one.words || one.name)),
            text(one.wanted),
            el(`td.n.${one.ok === true ? 'strong' : 'bad'}`, null, text(one.measured)),
        ];
    });
    section('objectives', 'Objectives', rows.length > 0 && table(['Verdict', 'What', 'Wanted', '#Measured'], rows, 'Verdicts on the objectives'));
}

const EVENTS = { fault: 'fault', heal: 'heal', order: 'order', phase: 'phase', abort: 'abort', decision: 'decision' };

function happened(result) {
    const long = domainOf(result)[1] > 300;
    const rows = eventsOf(result).map((event) => {
        const kind = EVENTS[event.kind] ?? 'phase';
        const mark = event.number > 0 ? el('span.flag.inline', { title: `${event.number} in the charts` }, `${event.number}`) : el(`span.mark.${kind}`, { 'aria-hidden': 'true' });
        const lasted = isNumber(event.until) && event.until > event.at ? `for ${span(event.until - event.at)}` : '';
        const after = event.after ? `${span(event.after.seconds)} after ${event.after.name}` : '';
        return [
            el('td.n.time', null, clock(event.at, long, 2)),
            el('td.sign', null, mark),
            el('td', null, el('p.strong', null, event.name), el('p.muted', null, event.kind === 'decision' ? `decision${isNumber(event.epoch) ? ` · epoch ${event.epoch}` : ''}` : event.kind)),
            el('td', null, event.from ? [chip(event.from), ' → '] : null, chip(event.region)),
            el('td', null, el('p', null, event.detail), (after || lasted) && el('p.muted', null, [after, lasted].filter(Boolean).join(', '))),
        ];
    });
    section('happened', 'What happened', rows.length > 0 && table(['#At', 'Sign', 'What', 'Region', 'Why and how'], rows, 'What happened, in order', true));
}

// p50 to the slowest on one logarithmic scale, for a look across kinds. The figures stand beside it.
function bar(kind, low, high) {
    const at = (value) => (100 * (Math.log10(value) - Math.log10(low))) / (Math.log10(high) - Math.log10(low));
    const track = el('div.range', { 'aria-hidden': 'true' });
    const piece = (what, from, to) => {
        if (from > 0 && to >= from) {
            const node = el(`i.${what}`);
            node.style.left = `${at(from)}%`;
            node.style.width = `${at(to) - at(from)}%`;
            track.append(node);
        }
    };
    piece('to-max', kind.p50_ms, kind.max_ms);
    piece('to-p99', kind.p50_ms, kind.p99_ms);
    piece('to-p90', kind.p50_ms, kind.p90_ms);
    return track;
}

function kinds(result) {
    const all = list(result.kinds);
    const values = all.flatMap((kind) => [kind.p50_ms, kind.max_ms]).filter((value) => value > 0);
    const low = Math.min(...values) / 1.3;
    const high = Math.max(...values) * 1.3;
    const rows = all.map((kind) => {
        const failures = Object.entries(record(kind.failures)).map(([word, n]) => el('p.failure', null, `${count(n)} × ${word}`));
        // Answers, not failures: what a region that lacks the last writes says of what builds on them.
        const conflicts = kind.conflicts > 0 && el('p.muted.note', null, `${many(kind.conflicts, 'conflict')} told`);
        return [
            el('th', { scope: 'row' }, text(kind.kind), failures, conflicts),
            count(kind.requests),
            el(`td.n.${kind.failed > 0 ? 'bad' : 'muted'}`, null, count(kind.failed)),
            ms(kind.p50_ms),
            ms(kind.p90_ms),
            ms(kind.p99_ms),
            ms(kind.max_ms),
            el('td.range-cell', null, kind.p50_ms > 0 && bar(kind, low, high)),
        ];
    });
    section('kinds', 'By kind of request', rows.length > 0 && table(['Kind', '#Requests', '#Failed', '#p50', '#p90', '#p99', '#Slowest', 'p50 to p90, p99, slowest'], rows, 'Kinds of requests'));
}

function checkerWords(checker) {
    const unknown = record(checker.unknown);
    const open = (unknown.present || 0) + (unknown.absent || 0);
    const words = [`${many(checker.writes, 'write')}: ${count(checker.acknowledged)} acknowledged, ${count(checker.refused)} refused, ${count(open)} without a known outcome`];
    words.push(open ? ` (${count(unknown.present)} found carried out, ${count(unknown.absent)} not). ` : '. ');
    words.push(isNumber(checker.converged_s) ? `The regions agreed ${span(checker.converged_s)} after the load. ` : 'The regions did not agree within the time they had. ');
    words.push(checker.stale_reads ? `${many(checker.stale_reads, 'read')} gave less than their writer had written.` : 'No read gave less than its writer had written.');
    return words.join('');
}

const COUNTS = { lost: 'Lost', duplicated: 'Duplicated', conflicted: 'In conflict', denied: 'There though refused', strange: 'Nobody’s' };

function data(result) {
    if (!result.checker) {
        section('data', 'The data afterwards', el('p.muted', null, 'They were not checked.'));
        return;
    }
    const checker = record(result.checker);
    const zero = (value) => el(`td.n.${value > 0 ? 'bad' : 'muted'}`, null, count(value));
    const all = list(checker.regions);
    // What is seldom has a column only where there is some.
    const counts = ['lost', 'duplicated', 'conflicted', ...['denied', 'strange'].filter((name) => all.some((one) => one[name] > 0))];
    const regions = all.map((one) => [el('th', { scope: 'row' }, chip(text(one.name))), count(one.present), ...counts.map((name) => zero(one[name]))]);
    const feeds = list(checker.feeds).map((one) => [el('th', { scope: 'row' }, text(one.kind)), count(one.rows), el('td.n', null, count(one.redelivered)), zero(one.missed)]);
    const findings = list(checker.findings);
    const more = findings.length - Math.min(findings.length, MOST_FINDINGS);
    const shown = findings.slice(0, MOST_FINDINGS).map((one) => [
        el('td.bad', null, text(one.kind)),
        el('td', null, [one.document, one.revision].map((name, i) => el(`p.mono${i ? '.muted' : ''}${text(name).length < 50 ? '.whole' : ''}`, null, text(name)))),
        chip(text(one.region)),
        text(one.detail),
    ]);
    section(
        'data',
        'The data afterwards',
        el('p.lead', null, checkerWords(checker)),
        el(
            'div.pair',
            null,
            regions.length > 0 && table(['Region', '#Present', ...counts.map((name) => `#${COUNTS[name]}`)], regions, 'Writes by region'),
            feeds.length > 0 && table(['Feed', '#Rows', '#Again', '#Missed'], feeds, 'Feeds'),
        ),
        shown.length > 0 && el('h3', null, many(findings.length + (checker.left_out || 0), 'finding')),
        shown.length > 0 && table(['What', 'Document and revision', 'Region', 'Detail'], shown, 'Findings', true),
        more > 0 && el('p.muted', null, `${count(more)} more are in the result's JSON.`),
        checker.left_out > 0 && el('p.muted', null, `${count(checker.left_out)} more were counted and not listed.`),
    );
}

function environment(result) {
    const about = record(result.environment);
    const proxy = record(about.proxy);
    const row = (name, ...value) => value.filter(Boolean).length > 0 && el('div', null, el('dt', null, name), el('dd', null, ...value));
    section(
        'environment',
        'Environment',
        el(
            'dl.facts-list',
            null,
            row('Proxy', proxy.url && el('span.mono', null, text(proxy.url)), proxy.version && ` davenport ${text(proxy.version)}`),
            list(about.regions).map((one) => row(chip(text(one.name)), el('span.mono', null, text(one.url)))),
            row('Load from', [text(about.host), text(about.kernel), isNumber(about.cores) && many(about.cores, 'core')].filter(Boolean).join(', ')),
            row('Began', when(result.started)),
            row('Took', span(result.seconds)),
        ),
    );
}

function plan(result) {
    const save = el('button', { type: 'button' }, 'Save the result as JSON');
    save.addEventListener('click', () => {
        const url = URL.createObjectURL(new Blob([`${JSON.stringify(result, null, 2)}\n`], { type: 'application/json' }));
        el('a', { href: url, download: `${text(result.name).toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'drill'}.json` }).click();
        setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    section(
        'plan',
        'Plan',
        el('details.print-open', null, el('summary', null, 'As it was carried out'), el('pre.scroll', { tabindex: '0' }, JSON.stringify(result.plan ?? null, null, 2))),
        el('p.screen', null, save),
    );
}

// On paper what is folded would be lost.
function unfoldForPaper() {
    let folded = [];
    addEventListener('beforeprint', () => {
        folded = [...document.querySelectorAll('details.print-open:not([open])')];
        folded.forEach((one) => (one.open = true));
    });
    addEventListener('afterprint', () => folded.forEach((one) => (one.open = false)));
}

const RESULT = record(JSON.parse(byId('data-json').textContent));

head(RESULT);
{
    const picture = el('div.picture');
    section('course', 'The course of the drill', picture);
    drawPicture(picture, RESULT);
}
objectives(RESULT);
happened(RESULT);
kinds(RESULT);
data(RESULT);
environment(RESULT);
plan(RESULT);
unfoldForPaper();
byId('report').append(byId('colophon'));
byId('colophon').hidden = false;
