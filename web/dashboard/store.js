// What the page knows, and how what the server says goes into it. No words, no elements.

const STORE = {
    contact: { state: 'connecting', why: '', retryAt: null },
    heardAt: null, // page time (performance.now(), in seconds) of the last state
    status: null,
    explain: null,
    journal: [], // newest last: {key, ...line}
    run: null, // of the process whose lines these are
    points: [], // of the last hour, oldest first: {from, to, seconds, ..., active, regions: {name: {...}}}; from, to: page time
    who: null, // {actor, role, by}; null: not known
};

const JOURNAL_MAX = 256;
const HOUR_S = 3600;
const pageTime = () => performance.now() / 1000;

// Page time as the server's wall time, in seconds since 1970.
const wallTime = (at) => Date.parse(STORE.status?.now) / 1000 + (at - STORE.heardAt);

// A state or a point that is not of the shape it should be must not stop the page.
function parse(data) {
    try {
        return record(JSON.parse(data));
    } catch {
        return {};
    }
}

function takeState({ status, explain }) {
    if (status && explain) {
        STORE.status = record(status);
        STORE.explain = record(explain);
        STORE.heardAt = pageTime();
    }
}

function takeLine(id, line) {
    const run = text(id).split('-')[0];
    if (run !== STORE.run) {
        STORE.run = run;
        STORE.journal = [];
    }
    STORE.journal.push({ ...line, key: id });
    STORE.journal.splice(0, Math.max(0, STORE.journal.length - JOURNAL_MAX));
}

const WHOLE = ['seconds', 'requests', 'refused', 'held', 'retried', 'requests_active', 'feeds'];
const OF_REGION = ['requests', 'failures', 'in_flight', 'p50_ms', 'p99_ms'];

// Columns, as the server has them, to points.
function pointsOf(history) {
    const now = pageTime();
    const regions = list(history.regions);
    const pick = (columns, names, i) => Object.fromEntries(names.map((name) => [name, columns[name]?.[i] ?? null]));
    return list(history.age_s).map((age, i) => {
        const whole = pick(history, WHOLE, i);
        return {
            ...whole,
            from: now - age - whole.seconds,
            to: now - age,
            active: regions[history.active?.[i]]?.name ?? null,
            regions: Object.fromEntries(regions.map((region) => [region.name, pick(region, OF_REGION, i)])),
        };
    });
}

function takePoints(history, all) {
    const points = all ? pointsOf(history) : [...STORE.points, ...pointsOf(history)];
    const old = pageTime() - HOUR_S - 10;
    // Each begins where the one before it ended, also where the two were told by different clocks' readings.
    STORE.points = points.filter((point, i) => point.to > old && (i === 0 || point.to > points[i - 1].to));
}

// Sums over the points of the last `seconds`: {seconds, requests, ..., regions: {name: {requests, failures}}}.
function lately(seconds) {
    const since = pageTime() - seconds;
    const total = { seconds: 0, requests: 0, refused: 0, held: 0, retried: 0, regions: {} };
    for (const point of STORE.points.filter(({ to }) => to > since)) {
        for (const name of ['seconds', 'requests', 'refused', 'held', 'retried']) {
            total[name] += point[name] ?? 0;
        }
        for (const [name, { requests, failures }] of Object.entries(point.regions)) {
            total.regions[name] ??= { requests: 0, failures: 0 };
            total.regions[name].requests += requests ?? 0;
            total.regions[name].failures += failures ?? 0;
        }
    }
    return total;
}
