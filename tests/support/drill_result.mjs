// A drill's result as `davenport drill` writes it, made up but the same every time: the region `left` is stopped at 10 s and
// started at 30 s, traffic leaves it at once and returns at 44 s. For what shows results.

// xorshift32: chance that is the same every time.
function chance(seed) {
    let x = seed;
    return () => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        return (x >>> 0) / 2 ** 32;
    };
}

const round = (value, digits = 2) => Number(value.toFixed(digits));

function second(t, { random, slow, failed, rate }) {
    const due = t < 2 ? Math.round((rate * (t + 1)) / 2) : rate;
    const calm = 2.1 + random() * 0.7 + (t >= 30 && t < 38 ? 1.4 : 0);
    const fault = t === 10;
    const moved = t >= 10 && t < 44;
    const p50 = fault ? 3.4 : calm;
    const p90 = p50 * (2.1 + random() * 0.4);
    const p99 = fault ? 331 : t === 44 ? 96.3 : p90 * (1.9 + random());
    return {
        due,
        ok: due - failed,
        failed,
        slow,
        p50_ms: round(p50),
        p90_ms: round(p90),
        p99_ms: round(p99),
        max_ms: round(fault ? 412.6 : p99 * (1.3 + random() * 1.6)),
        left: moved ? (fault ? 21 : 0) : due,
        right: moved ? (fault ? due - 21 - failed : due - failed) : 0,
    };
}

// The parts that only a drill gone wrong has.
const WRONG = {
    verdict: 'missed',
    outages: [
        { from_s: 10.1, to_s: 13.4, failed: 61, slow: 9 },
        { from_s: 44.2, to_s: 44.9, failed: 3, slow: 0 },
    ],
    findings: [
        {
            kind: 'lost',
            document: 'drill-7f3a-000412',
            revision: '2-5e0b8d6f94d77cf2a33d7f3bb1d8ac10',
            region: 'right',
            detail: 'acknowledged at 9.94 s by left; right has 1-0f2b…',
        },
        {
            kind: 'lost',
            document: 'drill-7f3a-000097',
            revision: '4-77cf2a33d7f3bb1d8ac105e0b8d6f94d',
            region: 'right',
            detail: 'acknowledged at 9.97 s by left; right has 3-a71c…',
        },
        {
            kind: 'conflicted',
            document: 'drill-7f3a-000412',
            revision: '2-9d02c1f86a7e4b35910f6a2280bd34e7',
            region: 'left',
            detail: 'two leaves: 2-5e0b… and 2-9d02…',
        },
        {
            kind: 'stale',
            document: 'drill-7f3a-000233',
            revision: '3-b8d6f94d77cf2a33d7f3bb1d8ac105e0',
            region: 'left',
            detail: 'read at 44.31 s by the connection that had written 4-… at 43.80 s',
        },
    ],
};

function objective(name, words, wanted, measured, ok = true) {
    return { name, words, wanted, measured, ok };
}

// wrong: a drill that missed its objectives. seconds: how long it went on.
export function drillResult({ wrong = false, seconds = 60, rate = 200 } = {}) {
    const random = chance(20261126);
    const rows = Array.from({ length: seconds }, (_, t) =>
        second(t, {
            random,
            rate,
            slow: wrong && t >= 10 && t < 13 ? 3 : 0,
            failed: wrong ? ({ 10: 18, 11: 22, 12: 17, 13: 4, 44: 3 }[t] ?? 0) : 0,
        }),
    );
    const column = (name) => rows.map((row) => row[name]);
    const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
    const mix = { get: 60, put: 20, post: 5, bulk: 5, find: 4, view: 4, attachment: 2 };
    const typical = { get: 1.9, put: 2.6, post: 2.7, bulk: 4.8, find: 6.2, view: 5.5, attachment: 7.4 };
    const total = sum('due');
    const kinds = Object.entries(mix).map(([kind, share]) => {
        const requests = Math.round((total * share) / 100);
        const failures = wrong && kind === 'put' ? { 'status 503 outcome_unknown': 9, timeout: 4 } : wrong && kind === 'get' ? { timeout: 51 } : {};
        const failed = Object.values(failures).reduce((all, n) => all + n, 0);
        const p50 = typical[kind];
        return {
            kind,
            requests,
            ok: requests - failed,
            failed,
            p50_ms: p50,
            p90_ms: round(p50 * 2.2),
            p99_ms: round(p50 * 5.1),
            max_ms: round(Math.min(412.6, p50 * 61)),
            failures,
            conflicts: wrong && kind === 'put' ? 1 : 0,
        };
    });
    const writes = Math.round(total * 0.32);
    const unknown = wrong ? { present: 7, absent: 2 } : { present: 1, absent: 0 };
    const acknowledged = writes - unknown.present - unknown.absent;
    return {
        format: 1,
        version: '0.1.0',
        name: 'Region kill',
        description: 'The active region is killed in the middle of a load of reads and writes, and comes back 20 s later.',
        started: '2026-11-26T19:00:00Z',
        seconds: seconds + 2.1,
        verdict: wrong ? WRONG.verdict : 'passed',
        aborted: null,
        plan: {
            name: 'Region kill',
            proxy: { url: 'http://127.0.0.1:8984', admin: '127.0.0.1:8985', username: 'drill', password: '***' },
            regions: [
                { name: 'left', url: 'http://127.0.0.1:15984', stop: 'kill -9 $(cat left.pid)', start: './start left' },
                { name: 'right', url: 'http://127.0.0.1:25984' },
            ],
            database: 'drill',
            replicate: true,
            load: { rate, ramp_s: 2, seconds, connections: 32, mix, longpoll: 1, continuous: 1, documents: 500, timeout_ms: 10000 },
            steps: [{ at_s: 10, do: 'stop', region: 'left', for_s: 20 }],
            abort: { failed_percent: 50, p99_ms: 30000 },
            objectives: {
                failed: 0,
                outage_ms: 500,
                reroute_ms: 3000,
                p99_ms: 500,
                lost: 0,
                duplicated: 0,
                conflicted: 0,
                stale_reads: 0,
                redelivered: 50,
            },
        },
        environment: {
            host: 'ops1',
            kernel: 'Linux 6.1.0-28-amd64',
            cores: 2,
            proxy: { url: 'http://127.0.0.1:8984', version: '0.1.0' },
            regions: [
                { name: 'left', url: 'http://127.0.0.1:15984' },
                { name: 'right', url: 'http://127.0.0.1:25984' },
            ],
        },
        objectives: [
            objective('failed', 'failed requests', 'at most 0', wrong ? '64' : '0', !wrong),
            objective('outage_ms', 'longest outage', 'at most 500 ms', wrong ? '3300 ms' : '0 ms', !wrong),
            objective('reroute_ms', 'time until another region answers', 'at most 3000 ms', wrong ? '2870 ms' : '312 ms'),
            objective('p99_ms', '99 % of requests answered within', 'at most 500 ms', wrong ? '412 ms' : '12 ms'),
            objective('lost', 'acknowledged writes lost', 'at most 0', wrong ? '2' : '0', !wrong),
            objective('duplicated', 'writes carried out twice', 'at most 0', '0'),
            objective('conflicted', 'documents in conflict', 'at most 0', wrong ? '1' : '0', !wrong),
            objective('stale_reads', 'reads older than what their writer had written', 'at most 0', wrong ? '1' : '0', !wrong),
            objective('redelivered', 'feed rows delivered again', 'at most 50', '4'),
        ],
        timeline: [
            { at_s: 0, until_s: 2, what: 'phase', name: 'ramp', region: '', detail: `0 to ${rate} requests/s` },
            { at_s: 2, until_s: seconds, what: 'phase', name: 'load', region: '', detail: `${rate} requests/s on 32 connections` },
            { at_s: 10, until_s: 30, what: 'fault', name: 'stop left', region: 'left', detail: 'kill -9 $(cat left.pid)' },
            { at_s: 30, until_s: null, what: 'heal', name: 'start left', region: 'left', detail: './start left: exit code 0 after 0.8 s' },
        ],
        decisions: [
            { at_s: 10.05, epoch: 1, event: 'suspect', region: 'left', reason: 'left: 2 requests in a row got no answer' },
            {
                at_s: 10.31,
                epoch: 2,
                event: 'failover',
                region: 'right',
                from: 'left',
                to: 'right',
                reason: 'left is down: 5 requests in a row got no answer (threshold 5); last probe: connection refused',
            },
            { at_s: 31.4, epoch: 2, event: 'regained', region: 'left', reason: 'left is up again: 2 probes in a row passed; held for 12 s' },
            {
                at_s: 44.02,
                epoch: 3,
                event: 'failback',
                region: 'left',
                from: 'right',
                to: 'left',
                reason: 'left has been well for 12 s and has all that right was told (3 databases compared)',
            },
        ],
        requests: total,
        ok: sum('ok'),
        failed: sum('failed'),
        p50_ms: 2.6,
        p99_ms: wrong ? 413 : 12.1,
        max_ms: 412.6,
        series: {
            second: rows.map((_, t) => t),
            due: column('due'),
            ok: column('ok'),
            failed: column('failed'),
            slow: column('slow'),
            p50_ms: column('p50_ms'),
            p90_ms: column('p90_ms'),
            p99_ms: column('p99_ms'),
            max_ms: column('max_ms'),
            regions: { left: column('left'), right: column('right') },
        },
        kinds,
        outages: wrong ? WRONG.outages : [],
        checker: {
            writes,
            acknowledged,
            refused: 0,
            unknown,
            converged_s: 1.24,
            stale_reads: wrong ? 1 : 0,
            regions: [
                { name: 'left', present: acknowledged + unknown.present, lost: 0, duplicated: 0, conflicted: wrong ? 1 : 0 },
                { name: 'right', present: acknowledged + unknown.present - (wrong ? 2 : 0), lost: wrong ? 2 : 0, duplicated: 0, conflicted: 0 },
            ],
            feeds: [
                { kind: 'longpoll', rows: 3841, redelivered: 4, missed: 0 },
                { kind: 'continuous', rows: 3844, redelivered: 0, missed: 0 },
            ],
            findings: wrong ? WRONG.findings : [],
        },
    };
}
