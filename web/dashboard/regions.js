// The regions: a card each, with its state, what it does, and how far the next decision is.

const regionNames = () => list(STORE.status?.regions).map((region) => text(region.name));

function chip(name) {
    if (!name) {
        return null;
    }
    const dot = el('i.dot', { 'aria-hidden': 'true' });
    dot.style.setProperty('--c', `var(${regionColour(regionNames(), name)})`);
    return el('span.chip', null, dot, name);
}

// `now` of `of`, as boxes where they can be counted, else as a bar.
function meter({ words, now, of, tone, percent: isPercent }) {
    const most = Math.max(of || 0, 1);
    const filled = Math.min(Math.max(now || 0, 0), most);
    const value = isPercent ? `${now} % of ${of} %` : `${now} of ${of}`;
    const boxes = most <= 12 && !isPercent;
    const track = el(`div.track${boxes ? '.boxes' : ''}.${filled > 0 ? tone : 'idle'}`, { 'aria-hidden': 'true' });
    if (boxes) {
        put(track, Array.from({ length: most }, (_, i) => el(i < filled ? 'i.on' : 'i')));
    } else {
        const bar = el('i.on');
        bar.style.width = `${(100 * filled) / most}%`;
        put(track, bar);
    }
    const label = `${value} ${words}`;
    return el(
        'div.meter',
        { role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': most, 'aria-valuenow': filled, 'aria-valuetext': label, 'aria-label': words },
        el('p', { 'aria-hidden': 'true' }, el('b', null, value), ` ${words}`),
        track,
    );
}

const fact = (words, value, note) => el('div', null, el('dt', null, words), el('dd', null, value, note && el('span.note', null, ` ${note}`)));

function regionFacts(region) {
    const minute = lately(60);
    const { requests = 0, failures = 0 } = minute.regions[region.name] ?? {};
    const all = Object.values(minute.regions).reduce((total, one) => total + one.requests, 0);
    const last = STORE.points.at(-1)?.regions[region.name] ?? {};
    return el(
        'dl.facts',
        null,
        fact('share', all > 0 ? percent(requests, all) : NO, 'last minute'),
        fact('attempts', minute.seconds > 0 ? `${count(requests / minute.seconds)}/s` : NO, failures ? `${count(failures)} failed` : ''),
        fact('first byte', isNumber(last.p50_ms) ? ms(last.p50_ms) : NO, isNumber(last.p99_ms) ? `p99 ${ms(last.p99_ms)}` : ''),
        fact('in flight', count(region.in_flight), ''),
    );
}

const orderButton = (kind, region, words) =>
    el(`button.${kind}`, { type: 'button', 'data-order': kind, 'data-region': region, 'aria-label': region && !words.includes(region) && `${words}: ${region}`, ...whyNotOrder() }, words);

function regionActions(region, status) {
    const gate = list(region.gate).find((one) => one.name === 'approval');
    return el(
        'div.actions',
        null,
        !region.active && !region.drained && orderButton('switch', region.name, 'Switch to it'),
        region.drained ? orderButton('resume', region.name, 'Resume') : orderButton('drain', region.name, 'Drain'),
        gate && !region.active && (region.approved ? orderButton('revoke', region.name, 'Revoke its approval') : orderButton('approve', region.name, 'Approve its return')),
        status.pinned && region.active && el('span.muted', null, 'pinned by an order'),
    );
}

function regionCard(region, told, status) {
    const tone = toneOf(region);
    const [role, ...says] = list(told.says).map(text);
    const why = plightOf(region)?.why || text(region.why);
    return el(
        `article.card.${tone}${region.active ? '.active' : ''}`,
        { 'data-key': `region-${region.name}`, 'aria-labelledby': `region-${region.name}` },
        el(
            'header',
            null,
            el('h3', { id: `region-${region.name}` }, chip(region.name)),
            el(`span.state.${tone}`, null, sign(tone), ' ', text(told.state) || text(region.health)),
            region.active && el('span.badge', null, 'active'),
            region.fault && el('span.badge.warn', null, `a drill: ${text(region.fault.words)}`),
        ),
        el('p.role', null, role),
        el('p.why', null, el('span.muted', null, `for ${age(region.for_s)}: `), why),
        regionFacts(region),
        el('div.meters', null, distancesOf(region, record(told.evidence)).map(meter)),
        el('details', null, el('summary', null, `Evidence of ${region.name}`), el('ul.says', null, says.map((one) => el('li', null, one))), layersTable(region)),
        regionActions(region, status),
    );
}

// What its probes last said, layer by layer; of several endpoints, each.
function layersTable(region) {
    const endpoints = list(region.endpoints).length ? region.endpoints : [region];
    const rows = endpoints.flatMap((endpoint) =>
        Object.entries(record(endpoint.layers)).map(([layer, said]) => [
            endpoints.length > 1 ? text(endpoint.url) : null,
            layer,
            text(said.result),
            ms(said.ms),
            `${count(said.passed)} passed, ${count(said.failed)} failed`,
        ]),
    );
    const columns = ['Endpoint', 'Layer', 'Last', '#Took', 'Ever'];
    const from = endpoints.length > 1 ? 0 : 1;
    return rows.length > 0 && table(columns.slice(from), rows.map((row) => row.slice(from)), `Probes of ${region.name}`);
}

function drawRegions({ status, explain }) {
    const told = list(explain.regions);
    show(
        byId('regions').querySelector('.cards'),
        list(status.regions).map((region) => regionCard(region, record(told.find((one) => one.name === region.name)), status)),
    );
}
