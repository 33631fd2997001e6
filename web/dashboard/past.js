// The last hour as charts, with the moves of the traffic in them; the same as a table, and by keyboard.

const PAST = { charts: [], figures: [], shape: '', points: [], names: [], pointed: null };

const two = (n) => String(n).padStart(2, '0');
function clockText(seconds, withSeconds) {
    const at = new Date(1000 * seconds);
    return `${two(at.getHours())}:${two(at.getMinutes())}${withSeconds ? `:${two(at.getSeconds())}` : ''}`;
}

const rate = (value, seconds) => (isNumber(value) && seconds > 0 ? value / seconds : null);
const perSecond = (value) => (value === null ? NO : `${value < 10 ? Number(value.toFixed(1)) : count(value)}/s`);

// Column `name` of a region, point by point.
const ofRegion = (region, name) => PAST.points.map((point) => point.regions[region]?.[name] ?? null);

// Laid one on the other, the first at the bottom: [values of the first, of the first two, ...].
function stackedRates() {
    const rates = PAST.names.map((region) => PAST.points.map((point) => rate(point.regions[region]?.requests, point.seconds)));
    return rates.map((_, row) => PAST.points.map((_, i) => rates.slice(0, row + 1).reduce((sum, one) => sum + (one[i] ?? 0), 0)));
}

// Drawn one over the other, the worst last.
const TROUBLES = [
    { name: 'sent again', colour: '--chart-p90', of: (point) => point.retried },
    { name: 'held', colour: '--chart-slow', of: (point) => point.held },
    { name: 'failed attempts', colour: '--chart-bad', of: (point) => PAST.names.reduce((sum, region) => sum + (point.regions[region]?.failures ?? 0), 0) },
    { name: 'refused', colour: '--chart-due', of: (point) => point.refused },
];

const linear = { range: (u, low, high) => [0, Math.max((high ?? 0) * 1.12, 1)], values: (u, ticks) => ticks.map((value) => (Number.isInteger(value) ? count(value) : '')) };

// Each chart: its heading with legend, and of the points that there are now its rows and scale.
const KINDS = [
    {
        title: 'Attempts each second, by region',
        height: 150,
        entries: () => PAST.names.map((name) => ({ name, colour: regionColour(PAST.names, name), at: (i) => perSecond(rate(PAST.points[i].regions[name]?.requests, PAST.points[i].seconds)) })),
        rows: () => PAST.names.map((name) => ({ colour: regionColour(PAST.names, name), fill: regionColour(PAST.names, name), calm: true, width: 0 })).reverse(),
        values: () => stackedRates().reverse(),
        y: () => linear,
    },
    {
        title: 'First byte: p99, and p50 dashed',
        height: 150,
        entries: () =>
            PAST.names.map((name) => ({
                name,
                colour: regionColour(PAST.names, name),
                shape: 'line',
                at: (i) => (isNumber(PAST.points[i].regions[name]?.p99_ms) ? `${ms(PAST.points[i].regions[name].p99_ms)}, ${ms(PAST.points[i].regions[name].p50_ms)}` : NO),
            })),
        rows: () =>
            PAST.names.flatMap((name) => [
                { colour: regionColour(PAST.names, name), width: 2 },
                { colour: regionColour(PAST.names, name), width: 1, dash: [4, 3] },
            ]),
        values: () => PAST.names.flatMap((name) => [ofRegion(name, 'p99_ms'), ofRegion(name, 'p50_ms')]),
        y: () => millisecondScale(PAST.names.flatMap((name) => [...ofRegion(name, 'p99_ms'), ...ofRegion(name, 'p50_ms')])).y,
    },
    {
        title: 'What went wrong, and what was done about it',
        height: 120,
        time: true,
        entries: () => TROUBLES.map(({ name, colour, of }) => ({ name, colour, at: (i) => count(of(PAST.points[i])) })),
        rows: () => TROUBLES.map(({ colour }) => ({ colour })),
        columns: () => TROUBLES.map(({ colour }, row) => ({ row, colour })),
        values: () => TROUBLES.map(({ of }) => PAST.points.map((point) => of(point) || null)),
        y: () => linear,
    },
];

function frame() {
    const now = wallTime(pageTime());
    const begins = PAST.points.map((point) => wallTime(point.from));
    // A young process has no hour yet: five minutes at least are shown, so that the axis does not race.
    const long = Math.min(HOUR_S, Math.max(300, now - (begins[0] ?? now)));
    const without = PAST.points.filter((point) => point.active === null).map((point) => ({ from: wallTime(point.from), to: wallTime(point.to) }));
    return {
        seconds: begins,
        domain: [now - long, now],
        bands: without,
        marks: STORE.journal.filter(isMove).map((line) => Date.parse(line.ts) / 1000),
    };
}

function pointAt(i) {
    PAST.pointed = i;
    PAST.figures.forEach((one) => one.say(i));
    PAST.charts.forEach((one) => one.point(i));
    byId('moment').textContent = i === null ? '' : clockText(wallTime(PAST.points[i].from), true);
}

// The whole anew: the regions are others, or there was nothing yet.
function buildPast(host) {
    PAST.charts.forEach((one) => one.drop());
    host.replaceChildren();
    const shared = { ...frame(), step: 5, timeText: (value) => clockText(value, value % 60 !== 0), moved: (i) => pointAt(i) };
    PAST.figures = [];
    PAST.charts = KINDS.map((kind) => {
        const legend = figure(host, kind.title, kind.entries());
        PAST.figures.push(legend);
        const values = kind.values();
        return chart(legend.plot, {
            ...shared,
            height: kind.height,
            time: kind.time,
            y: kind.y(),
            rows: kind.rows().map((row, i) => ({ ...row, values: values[i] })),
            columns: kind.columns?.() ?? [],
        });
    });
    const slider = el('input', { id: 'slider', type: 'range', min: 0, step: 1, 'aria-label': 'Moment of the last hour' });
    slider.addEventListener('input', () => pointAt(Number(slider.value)));
    slider.addEventListener('focus', () => pointAt(Number(slider.value)));
    slider.addEventListener('blur', () => pointAt(null));
    put(host, el('div.scrub', null, slider), el('p.moment', null, el('span', { id: 'moment' })), minutesTable());
}

// A row a minute, newest first, made when it is unfolded.
function minutesTable() {
    const body = el('div');
    const details = el('details', null, el('summary', null, 'The same as a table'), body);
    const fill = () => details.open && show(body, table(['Minute', ...PAST.names.flatMap((name) => [`#${name}`, '#p99']), ...TROUBLES.map(({ name }) => `#${name}`)], minuteRows(), 'The last hour, minute by minute'));
    details.addEventListener('toggle', fill);
    PAST.refill = fill;
    return details;
}

function minuteRows() {
    const minutes = Map.groupBy(PAST.points, (point) => clockText(wallTime(point.to)));
    return [...minutes].reverse().map(([minute, points]) => [
        minute,
        ...PAST.names.flatMap((name) => [
            count(sum(points.map((point) => point.regions[name]?.requests))),
            ms(Math.max(...points.map((point) => point.regions[name]?.p99_ms ?? -1))),
        ]),
        ...TROUBLES.map(({ of }) => count(sum(points.map(of)))),
    ]);
}

const sum = (values) => values.reduce((all, value) => all + (isNumber(value) ? value : 0), 0);

// Once for each new point.
function drawPast() {
    const host = byId('past').querySelector('.picture');
    PAST.points = STORE.points;
    PAST.names = [...new Set([...regionNames(), ...PAST.points.flatMap((point) => Object.keys(point.regions))])];
    if (PAST.points.length === 0) {
        PAST.shape = '';
        host.replaceChildren(el('p.muted', null, 'The first five seconds are being counted.'));
        return;
    }
    const shape = PAST.names.join(' ');
    if (shape !== PAST.shape) {
        PAST.shape = shape;
        buildPast(host);
    } else {
        const at = frame();
        PAST.charts.forEach((one, i) => one.update({ ...at, values: KINDS[i].values(), y: KINDS[i].y() }));
        PAST.refill();
    }
    const slider = byId('slider');
    slider.max = PAST.points.length - 1;
    if (document.activeElement !== slider) {
        slider.value = slider.max;
    }
    const last = PAST.points[Number(slider.value)] ?? PAST.points.at(-1);
    slider.setAttribute('aria-valuetext', `${clockText(wallTime(last.from), true)}: ${PAST.names.map((name) => `${name} ${perSecond(rate(last.regions[name]?.requests, last.seconds))}`).join(', ')}`);
}
