// The picture of a drill: lanes (who had the traffic, what was broken, what was decided), then the charts of the load, all over
// the same time.

const place = (node, from, to, [begin, end]) => {
    node.style.left = `${(100 * (from - begin)) / (end - begin)}%`;
    if (to !== null) {
        node.style.width = `${(100 * (Math.max(to, from) - from)) / (end - begin)}%`;
    }
    return node;
};

// Seconds on the axis and in words: minutes where a drill is long.
function clock(seconds, long, digits = 0) {
    if (!long) {
        return `${Number(seconds.toFixed(digits))} s`;
    }
    const minutes = Math.floor(seconds / 60);
    const rest = (seconds - 60 * minutes).toFixed(digits);
    return `${minutes}:${rest.padStart(digits ? 3 + digits : 2, '0')}`;
}

function lane(name, title, ...marks) {
    return el('div.lane', null, el('div.lane-name', { title }, name), el('div.lane-track', null, ...marks));
}

// Stretches {kind, name, title, from, to} as rows in which none covers another. Each has its name in it, or beside it where
// there is room, or else only as its title; once is enough for several of one name in a row.
function rowsOf(stretches, domain, width) {
    const secondsOf = (pixels) => (pixels * (domain[1] - domain[0])) / width;
    const rows = [];
    for (const one of stretches.toSorted((a, b) => a.from - b.from)) {
        const free = rows.find((row) => row.at(-1).to <= one.from);
        if (free) {
            free.push(one);
        } else {
            rows.push([one]);
        }
    }
    return rows.map((row) => {
        const shown = new Set();
        return row.map((one, i) => {
            const needs = secondsOf(16 + 6.9 * one.name.length); // about, in the lanes' 12 pixels
            const after = (row[i + 1]?.from ?? domain[1]) - one.to;
            const before = one.from - (row[i - 1]?.to ?? domain[0]);
            const where = one.to - one.from > needs ? '' : after > needs ? '.beside' : before > needs ? '.before' : null;
            const named = where === '' || (where !== null && !shown.has(one.name));
            const node = el(`div.stretch.${one.kind}${where ?? ''}`, { title: one.title }, named && el('span', null, one.name));
            node.style.setProperty('--c', `var(${one.colour})`);
            if (named) {
                shown.add(one.name);
            }
            return place(node, one.from, one.to, domain);
        });
    });
}

function lanesOf(result, domain, long, width) {
    const rows = (stretches) => rowsOf(stretches, domain, width);
    const regions = regionsOf(result);
    const at = (seconds) => clock(seconds, long, 1);
    const end = (entry) => (isNumber(entry.until_s) ? entry.until_s : domain[1]);
    const lanes = [];
    const reigns = reignsOf(result).map(({ region, from, to }) => ({
        kind: 'reign',
        name: region,
        title: `traffic goes to ${region}, ${at(from)} to ${at(to)}`,
        from,
        to,
        colour: regionColour(regions, region),
    }));
    if (reigns.length) {
        const flags = movesOf(result).map((move, i) =>
            place(el('div.flag', { title: `${text(move.event)} at ${at(move.at_s)}: ${text(move.reason)}` }, `${i + 1}`), move.at_s, null, domain),
        );
        lanes.push(lane('Traffic', 'Where the traffic went', rows(reigns), flags));
    }
    const deeds = list(result.timeline)
        .filter((entry) => ['order', 'abort'].includes(entry.what) && isNumber(entry.at_s))
        .map((entry) => ({ kind: entry.what, name: text(entry.name), title: `${text(entry.name)} at ${at(entry.at_s)}`, from: entry.at_s, to: entry.at_s }));
    rows(deeds).forEach((row, i) => lanes.push(lane(i ? '' : 'Orders', 'What the drill ordered', row)));
    const faults = faultsOf(result);
    for (const region of new Set(faults.map((fault) => text(fault.region)))) {
        const those = faults.filter((fault) => text(fault.region) === region);
        const stretches = those.map((fault) => ({
            kind: 'fault',
            name: text(fault.name),
            title: `${text(fault.name)}, ${at(fault.at_s)} to ${at(end(fault))}`,
            from: fault.at_s,
            to: end(fault),
        }));
        rows(stretches).forEach((row, i) => lanes.push(lane(i ? '' : region || 'Faults', `Faults${region && ` in ${region}`}`, row)));
    }
    const outages = list(result.outages).map((one) => ({
        kind: 'outage',
        name: span(one.to_s - one.from_s),
        title: `${at(one.from_s)} to ${at(one.to_s)}: ${many(one.failed, 'request')} failed, ${count(one.slow)} slow`,
        from: one.from_s,
        to: one.to_s,
    }));
    rows(outages).forEach((row, i) => lanes.push(lane(i ? '' : 'Outages', 'Stretches in which requests failed or took over 2 s', row)));
    return lanes;
}

function latencyScale(series, limit) {
    const { low, high, y } = millisecondScale(['p50_ms', 'p90_ms', 'p99_ms', 'max_ms'].flatMap((name) => list(series[name])));
    const inside = isNumber(limit) && limit > low && limit < high;
    return {
        y,
        limit: inside ? { value: limit, words: `objective ${ms(limit)}` } : null,
    };
}

// Each region's part of the answers, laid one on the other: drawn from the sum of all down to the first alone.
function sharesOf(series, regions) {
    const names = regions.filter((name) => list(series.regions?.[name]).some((value) => value > 0));
    const n = list(series.second).length;
    const totals = Array.from({ length: n }, (_, i) => names.reduce((all, name) => all + (series.regions[name][i] || 0), 0));
    const share = (name, i) => (totals[i] > 0 ? (100 * (series.regions[name][i] || 0)) / totals[i] : null);
    const stacked = names.map((_, row) =>
        totals.map((total, i) => (total > 0 ? names.slice(0, row + 1).reduce((all, name) => all + share(name, i), 0) : null)),
    );
    return { names, stacked, share, totals };
}

function secondsTable(result, long) {
    const series = record(result.series);
    const regions = regionsOf(result).filter((name) => series.regions?.[name]);
    const columns = ['#Second', '#Due', '#Ok', '#Failed', '#Slow', '#p50', '#p90', '#p99', '#Max', ...regions.map((name) => `#${name || 'unknown'}`)];
    const rows = series.second.map((at, i) => [
        clock(at, long),
        ...['due', 'ok', 'failed', 'slow'].map((name) => count(series[name]?.[i])),
        ...['p50_ms', 'p90_ms', 'p99_ms', 'max_ms'].map((name) => ms(series[name]?.[i])),
        ...regions.map((name) => count(series.regions[name][i])),
    ]);
    const details = el('details.screen', null, el('summary', null, 'The same as a table'));
    details.addEventListener('toggle', () => details.children.length > 1 || details.append(table(columns, rows, 'Figures of every second')), { once: true });
    return details;
}

function drawPicture(host, result) {
    const series = record(result.series);
    const seconds = list(series.second);
    const domain = domainOf(result);
    const long = domain[1] > 300;
    const regions = regionsOf(result);
    const now = el('div.now', { hidden: true });
    const lanes = el('div.lanes', null, lanesOf(result, domain, long, Math.max(host.clientWidth - px('--axis') - px('--air'), 100)), el('div.lane-over', null, now));
    put(host, lanes);
    if (seconds.length === 0) {
        put(host, el('p.muted', null, 'No second of load was recorded.'));
        return;
    }
    const at = (name) => (i) => count(series[name]?.[i]);
    const latency = (name) => (i) => ms(series[name]?.[i]);
    const shares = sharesOf(series, regions);
    const figures = [];
    const charts = [];
    const shared = {
        seconds,
        domain,
        bands: faultsOf(result).map((fault) => ({ from: fault.at_s, to: isNumber(fault.until_s) ? fault.until_s : domain[1] })),
        marks: movesOf(result).map((move) => move.at_s),
        timeText: (value) => clock(value, long),
        moved: (i) => show(i),
    };
    const row = (name, more) => ({ values: list(series[name]), ...more });

    const rate = figure(host, 'Requests each second', [
        { name: 'due', colour: '--chart-due', shape: 'dash', all: count(sum(series.due)), at: at('due') },
        { name: 'ok', colour: '--chart-ok', all: count(sum(series.ok)), at: at('ok') },
        { name: 'slow', colour: '--chart-slow', all: count(sum(series.slow)), at: at('slow') },
        { name: 'failed', colour: '--chart-bad', all: count(sum(series.failed)), at: at('failed') },
    ]);
    figures.push(rate);
    charts.push(
        chart(rate.plot, {
            ...shared,
            height: 170,
            rows: [
                row('ok', { colour: '--chart-ok', fill: '--chart-ok-soft' }),
                row('due', { colour: '--chart-due', width: 1, dash: [4, 4] }),
                row('slow', { colour: '--chart-slow' }),
                row('failed', { colour: '--chart-bad' }),
            ],
            columns: [
                { row: 2, colour: '--chart-slow' },
                { row: 3, colour: '--chart-bad' },
            ],
            y: { range: (u, low, high) => [0, Math.max(high * 1.12, 1)], values: (u, ticks) => ticks.map((value) => (Number.isInteger(value) ? count(value) : '')) },
        }),
    );

    const scale = latencyScale(series, record(record(result.plan).objectives).p99_ms);
    const worst = (name) => {
        const most = list(series[name]).reduce((a, b) => Math.max(a, b ?? 0), 0);
        return most ? `≤ ${ms(most)}` : '';
    };
    const times = figure(host, 'Latency, from when a request was due', [
        { name: 'p50', colour: '--chart-p50', shape: 'line', all: worst('p50_ms'), at: latency('p50_ms') },
        { name: 'p90', colour: '--chart-p90', shape: 'line', all: worst('p90_ms'), at: latency('p90_ms') },
        { name: 'p99', colour: '--chart-p99', shape: 'line', all: worst('p99_ms'), at: latency('p99_ms') },
        { name: 'max', colour: '--chart-max', shape: 'dash', all: worst('max_ms'), at: latency('max_ms') },
    ]);
    figures.push(times);
    charts.push(
        chart(times.plot, {
            ...shared,
            ...scale,
            height: 190,
            rows: [
                row('max_ms', { colour: '--chart-max', width: 1, dash: seconds.length > 300 ? undefined : [2, 3] }),
                row('p50_ms', { colour: '--chart-p50' }),
                row('p90_ms', { colour: '--chart-p90' }),
                row('p99_ms', { colour: '--chart-p99', width: 2 }),
            ],
        }),
    );

    if (shares.names.length) {
        const total = sum(shares.totals);
        const parts = figure(
            host,
            'Which region answered',
            shares.names.map((name) => ({
                name: name || 'unknown',
                colour: regionColour(regions, name),
                all: percent(sum(series.regions[name]), total),
                at: (i) => percent(series.regions[name][i] || 0, shares.totals[i]),
            })),
        );
        figures.push(parts);
        charts.push(
            chart(parts.plot, {
                ...shared,
                height: 118,
                time: true,
                rows: shares.names
                    .map((name, i) => ({ values: shares.stacked[i], colour: regionColour(regions, name), fill: regionColour(regions, name), calm: true, width: 0 }))
                    .reverse(),
                y: { range: () => [0, 100], splits: () => [0, 50, 100], values: (u, ticks) => ticks.map((value) => `${value} %`) },
            }),
        );
    }

    const slider = el('input', { type: 'range', min: 0, max: seconds.length - 1, step: 1, value: 0, 'aria-label': 'Second of the drill' });
    const scrub = el('div.scrub.screen', null, slider);
    put(host, scrub, secondsTable(result, long));

    const words = (i) =>
        `${clock(seconds[i], long)}: ${at('due')(i)} due, ${at('ok')(i)} ok, ${at('failed')(i)} failed, p50 ${latency('p50_ms')(i)}, p99 ${latency('p99_ms')(i)}` +
        shares.names.map((name) => `, ${name || 'unknown'} ${percent(series.regions[name][i] || 0, shares.totals[i])}`).join('');
    const show = (i) => {
        figures.forEach((one) => one.say(i));
        charts.forEach((one) => one.point(i));
        now.hidden = i === null;
        if (i !== null) {
            now.textContent = clock(seconds[i], long);
            place(now, seconds[i] + 0.5, null, domain);
            slider.value = i;
            slider.setAttribute('aria-valuetext', words(i));
        }
    };
    slider.setAttribute('aria-valuetext', words(0));
    slider.addEventListener('input', () => show(Number(slider.value)));
    slider.addEventListener('focus', () => show(Number(slider.value)));
    slider.addEventListener('blur', () => show(null));
    watchCharts();
}
