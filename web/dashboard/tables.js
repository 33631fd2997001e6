// What is read line by line: the figures of now, the way back, the journal, the program.

const share60 = (value) => (value ? `${count(value)} in the last minute` : 'none in the last minute');

function drawFigures({ status }) {
    const totals = record(status.totals);
    const minute = lately(60);
    const hour = lately(HOUR_S);
    const rateNow = STORE.points.length ? perSecond(rate(STORE.points.at(-1).requests, STORE.points.at(-1).seconds)) : NO;
    const failed = sum(Object.values(minute.regions).map((one) => one.failures));
    const cell = (words, value, note, tone) => el('div', null, el('dt', null, words), el(`dd.value${tone ? `.${tone}` : ''}`, null, value), el('dd.note', null, note));
    show(
        byId('figures'),
        el(
            'dl.figures',
            null,
            cell('Requests', rateNow, 'last 5 s'),
            cell('In flight', count(totals.requests_active), 'feeds included'),
            cell('Feeds open', count(totals.feeds_active), '_changes, _db_updates'),
            cell('Waiting', count(totals.held), hour.held ? `${count(hour.held)} held in the last hour` : 'none held in the last hour', totals.held > 0 && 'warn'),
            cell('Sent again', count(minute.retried), `last minute; ${count(totals.rescued)} rescued ever`),
            cell('Failed attempts', count(failed), 'last minute', failed > 0 && 'warn'),
            cell('Refused by us', count(minute.refused), share60(minute.refused) === 'none in the last minute' ? 'last minute' : `last minute; ${count(totals.refused)} ever`, minute.refused > 0 && 'bad'),
        ),
    );
}

// ---- the way back ----

const CONDITION_TONES = { met: 'good', unmet: 'bad', unknown: 'idle' };

function gateTable(status) {
    const regions = list(status.regions).filter((region) => !region.active && list(region.gate).length);
    const rows = regions.flatMap((region) =>
        region.gate.map((one, i) => [
            i === 0 ? chip(text(region.name)) : null,
            text(one.name),
            el('span.state', null, sign(CONDITION_TONES[one.state] ?? 'idle'), ' ', text(one.state)),
            text(one.reason),
        ]),
    );
    return rows.length > 0 && table(['Region', 'Condition', 'State', 'Because'], rows, 'Gate of each region', true);
}

const WAY_TONES = { same: 'good', lacking: 'bad', lacks: 'bad' };

function waysTable(replication) {
    const order = (way) => (way.data === 'same' ? 1 : 0);
    const ways = list(replication.ways).toSorted((a, b) => order(a) - order(b));
    const rows = ways.map((way) => [
        el('span.mono', null, text(way.database)),
        el('span.whole', null, chip(text(way.from)), ' → ', chip(text(way.to))),
        el('span.state', null, sign(WAY_TONES[way.data] ?? (way.data === 'unknown' ? 'idle' : 'warn')), ' ', text(way.data)),
        isNumber(way.missing) ? count(way.missing) : NO,
        isNumber(way.behind_at_most_ms) ? age(way.behind_at_most_ms / 1000) : NO,
        [text(way.replication), text(way.detail), text(way.replication_detail)].filter(Boolean).join('; '),
    ]);
    return table(['Database', 'Way', 'Data', '#Missing', '#Behind, at most', 'Replication'], rows, 'Databases, by how they get from region to region', true);
}

const FAILBACKS = {
    manual: 'Failback is manual: an operator switches.',
    hold_down: 'Traffic returns to a preferred region that has been well for its hold.',
    gated: 'Traffic returns to a preferred region that has been well for its hold and whose gate is open.',
    window: 'Traffic returns to a preferred region within the hours of failback.windows, if its gate is open.',
};

function drawWayBack({ status }) {
    const replication = record(status.replication);
    const waits = status.failback_to
        ? [chip(text(status.failback_to)), isNumber(status.failback_in_s) && status.failback_in_s > 0 ? ` takes the traffic back in ${age(status.failback_in_s)}, if all stays as it is.` : ' takes the traffic back when its gate opens.']
        : ['Nothing waits to go back.'];
    const ways = list(replication.ways);
    show(
        byId('way-back').querySelector('.body'),
        el('p', null, FAILBACKS[status.failback] ?? text(status.failback), ' ', waits),
        gateTable(status),
        el('h3', null, 'Databases'),
        ways.length > 0 ? waysTable(replication) : el('p.muted', null, replication.watched ? 'No database has been seen in use.' : `Replication is not watched${replication.why_not ? `: ${replication.why_not}` : ''}.`),
    );
}

// ---- the journal ----

const JOURNAL_SHOWN = 25;
let journalWhole = false;

function journalRow(line) {
    const tone = eventTone(line);
    const at = new Date(line.ts);
    const moved = isMove(line) && text(line.before) !== '';
    const own = ['governor', ''].includes(text(line.actor));
    const change = text(line.before) !== text(line.after) && line.before !== undefined;
    const names = regionNames();
    const where = (name) => (names.includes(name) ? chip(name) : name);
    return el(
        `tr${moved ? '.move' : ''}`,
        { 'data-key': line.key },
        el('td.time', null, el('time', { datetime: text(line.ts), title: text(line.ts) }, clockText(at / 1000, true)), el('span.note', null, ` ${at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' })}`)),
        el('td', null, el('span.state', null, sign(tone), ' ', text(line.event).replaceAll('_', ' '), line.order && ` ${text(line.order)}`)),
        el('td', null, !moved && text(line.region) && chip(text(line.region)), change && el('span.whole', null, !moved && text(line.region) && ': ', where(text(line.before)), ' → ', where(text(line.after)))),
        el('td.because', null, text(line.reason), line.detail && ` (${text(line.detail)})`, !own && el('span.note', null, ` by ${text(line.actor)}`)),
        el('td.n', null, count(line.epoch)),
    );
}

function drawJournal() {
    const lines = STORE.journal.toReversed();
    const shown = journalWhole ? lines : lines.slice(0, JOURNAL_SHOWN);
    const made = table(['Time', 'What', 'Where', 'Why', '#Epoch'], [], 'Journal, newest first', true);
    put(made.querySelector('tbody'), shown.map(journalRow));
    made.querySelectorAll('tbody tr').forEach((row) => row.setAttribute('role', 'row'));
    made.querySelectorAll('tbody td').forEach((cell) => cell.setAttribute('role', 'cell'));
    show(
        byId('journal').querySelector('.body'),
        made,
        lines.length > shown.length && el('p', null, el('button', { type: 'button', 'data-do': 'journal-whole' }, `Show all ${lines.length} lines`)),
    );
}

// ---- the program ----

function drawProgram({ status }) {
    const journal = record(status.journal);
    const maps = list(record(status.sequences).maps);
    const row = (name, ...value) => value.some(Boolean) && el('div', null, el('dt', null, name), el('dd', null, value));
    const kept = !journal.file
        ? 'in memory only: a restart forgets orders and history (journal.path)'
        : journal.troubled || journal.lost
          ? `the disk ${journal.troubled ? 'refuses it' : 'takes it again'}: ${count(journal.waiting)} lines wait, ${count(journal.lost)} are lost`
          : 'on disk';
    show(
        byId('program').querySelector('.body'),
        el(
            'dl.facts-list',
            null,
            row('Version', `davenport ${text(status.version)}, process ${text(status.pid)}, up for ${age(status.uptime_s)}`),
            row('Applications', el('span.mono', null, `${text(status.scheme)}://${text(status.listen)}`), `, ${many(status.workers, 'worker')}, ${text(status.mode)}`),
            row('Epoch', count(status.epoch), `; ${many(status.failovers, 'failover')} and ${many(status.failbacks, 'failback')} since the start`),
            row('Journal', kept),
            row('Reloads', `${count(status.reloads_done)} done, ${count(status.reloads_refused)} refused`),
            row('Feeds can go on', maps.length > 0 && `${many(maps.length, 'sequence map')}, the oldest seen ${age(Math.max(...maps.map((map) => map.age_s || 0)))} ago`),
            list(status.certificates).map((one) => row('Certificate', `to ${one.region ? text(one.region) : 'clients'}: until ${text(one.not_after).slice(0, 10)}`)),
        ),
    );
}
