// Traces of a running proxy: what a collector is told of requests and attempts, whose trace it is, and that nobody waits for a
// collector that does not answer.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { trace as api, context, ROOT_CONTEXT, defaultTextMapSetter } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, AlwaysOnSampler, AlwaysOffSampler } from '@opentelemetry/sdk-trace-base';
import { calm } from '../support/calm.mjs';
import { Collector } from '../support/collector.mjs';
import { answer, RESET } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { Proxy, withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { Authority } from '../support/tls.mjs';
import { until } from '../support/wait.mjs';

let left;
let right;

before(async () => {
    [left, right] = await Promise.all([ScriptedRegion.start('left'), ScriptedRegion.start('right')]);
});
beforeEach(() => {
    for (const region of [left, right]) {
        region.rules = [];
        region.requests = [];
        region.on(/ \/db\//, [answer(200, { from: region.name })]);
    }
});
after(() => Promise.all([left.close(), right.close()]));

const tracing = (collector, over = {}) => ({ tracing: { endpoint: collector.url, sample_per_million: 1_000_000, ...over } });

// A proxy before a collector of its own. `over`: of tracing; `more`: of the rest of its configuration.
const traced = (over, body, more = {}) => async (t) => {
    const collector = await Collector.start();
    await withProxy(() => [left, right], calm({ hold: { ms: 0 }, ...more, ...tracing(collector, over) }), (proxy) => body(proxy, collector, t))(t);
    await collector.close();
};
const told = (collector, n) => until(`${n} requests' spans`, () => collector.of().length >= n && collector.of());
const parentOf = (region) => region.requests.at(-1).headers.traceparent;

// What an application's OpenTelemetry SDK sends along with a request of its own span.
function application(sampler) {
    const tracer = new BasicTracerProvider({ sampler }).getTracer('app');
    const span = tracer.startSpan('work', {}, ROOT_CONTEXT);
    const headers = {};
    new W3CTraceContextPropagator().inject(api.setSpan(context.active(), span), headers, defaultTextMapSetter);
    return { span: span.spanContext(), headers };
}

const counted = (proxy, what, n) => until(`${n} spans ${what}`, async () => (await proxy.metric(`davenport_trace_spans_${what}_total`)) === n);

async function reload(proxy, result) {
    const count = async () => (await proxy.status())[`reloads_${result}`];
    const before_it = await count();
    writeFileSync(proxy.configPath, JSON.stringify(proxy.config));
    proxy.child.signal('SIGHUP');
    await until(`a reload that is ${result}`, async () => (await count()) === before_it + 1);
}

test('a request and its attempt, by their names', traced({ service_name: 'orders-db', field: 'X-Key: secret7' }, async (proxy, collector) => {
    const before_ms = Date.now();
    await request(`${proxy.origin}/db/private-doc?token=hidden`, { method: 'PUT', json: { a: 1 }, headers: { authorization: 'Basic aGlkZGVu', cookie: 'a=hidden' } });
    const [span] = await told(collector, 1);
    const after_ms = Date.now();
    const [attempt] = collector.under(span);
    assert.deepEqual(collector.requests[0].resource, {
        'service.name': 'orders-db',
        'service.version': collector.requests[0].resource['service.version'],
        'service.instance.id': collector.requests[0].resource['service.instance.id'],
    });
    assert.ok(collector.requests[0].resource['service.instance.id'].endsWith(`/127.0.0.1:${proxy.port}`));
    assert.equal(collector.requests[0].headers['x-key'], 'secret7');
    const { begun, ended, id, trace, ...rest } = span;
    assert.ok(begun >= BigInt(before_ms - 1) * 1_000_000n && ended <= BigInt(after_ms + 1) * 1_000_000n && begun <= ended);
    assert.deepEqual(rest, {
        'http.request.method': 'PUT',
        'http.response.status_code': 200,
        'url.scheme': 'http',
        'network.protocol.version': '1.1',
        'davenport.class': 'write',
        'davenport.kind': 'write',
        'db.namespace': 'db',
        'davenport.region': 'left',
        'davenport.attempts': 1,
        'http.request.body.size': 7,
        'http.response.body.size': 16,
        ...('davenport.queue_ms' in rest ? { 'davenport.queue_ms': rest['davenport.queue_ms'] } : {}),
        name: 'PUT write',
        kind: 'server',
        parent: null,
        flags: 0x101,
        error: false,
    });
    assert.deepEqual([attempt.kind, attempt.name, attempt['davenport.outcome'], attempt['http.response.status_code'], attempt.error], ['client', 'PUT left', 'answered', 200, false]);
    assert.deepEqual([attempt['server.address'], attempt['server.port'], attempt['davenport.attempt']], ['127.0.0.1', left.port, 1]);
    assert.ok(attempt.begun >= begun && attempt.ended <= ended);
    assert.equal(parentOf(left), `00-${trace}-${attempt.id}-03`, 'the region is told whose child its own span is');
    assert.doesNotMatch(JSON.stringify(collector.spans, (_, v) => (typeof v === 'bigint' ? `${v}` : v)), /hidden|aGlkZGVu|private|secret/);
    assert.doesNotMatch(proxy.child.text(), /secret7/);
    await counted(proxy, 'exported', 2);
    assert.equal(await proxy.metric('davenport_trace_spans_dropped_total'), 0);
}));

test('a failover is two attempts under one request', traced({}, async (proxy, collector) => {
    left.on(/ \/db\/a$/, [RESET]);
    assert.equal((await request(`${proxy.origin}/db/a`)).json.from, 'right');
    const [span] = await told(collector, 1);
    const attempts = collector.under(span);
    assert.deepEqual(attempts.map((a) => [a['davenport.region'], a['davenport.attempt'], a['http.response.status_code'] ?? null, a.error]), [
        ['left', 1, null, true],
        ['right', 2, 200, false],
    ]);
    assert.equal(attempts[0]['error.type'], attempts[0]['davenport.outcome']);
    assert.equal(attempts[1]['http.request.resend_count'], 1);
    assert.deepEqual([span['davenport.region'], span['davenport.attempts'], span['davenport.reason'], span.error], ['right', 2, 'failed_over', false]);
    assert.ok(attempts[0].ended <= attempts[1].begun, 'one after the other');
    assert.equal(parentOf(left).slice(36, 52), attempts[0].id);
    assert.equal(parentOf(right).slice(36, 52), attempts[1].id);
}));

test('an error of our own is one, and has its reason', traced({}, async (proxy, collector) => {
    for (const region of [left, right]) {
        region.on(/ \/db\//, [RESET]);
    }
    assert.equal((await request(`${proxy.origin}/db`, { method: 'POST', json: {} })).status, 404, 'no database: a plain answer');
    assert.equal((await request(`${proxy.origin}/db/x/_update/u`, { method: 'POST', json: {} })).status, 503);
    const spans = await told(collector, 2);
    const [plain] = spans.filter((s) => s['http.response.status_code'] === 404);
    const [failed] = spans.filter((s) => s['http.response.status_code'] === 503);
    assert.deepEqual([plain.error, plain['davenport.reason']], [false, 'region_4xx']);
    assert.deepEqual([failed.error, failed['error.type'], failed['davenport.reason']], [true, '503', 'outcome_unknown']);
}));

test("an application's trace goes on, as its SDK has it", traced({ sample_per_million: 0 }, async (proxy, collector) => {
    const on = application(new AlwaysOnSampler());
    await request(`${proxy.origin}/db/a`, { headers: { ...on.headers, tracestate: 'vendor=a1,b=2' } });
    const [span] = await told(collector, 1);
    assert.deepEqual([span.trace, span.parent, span.flags], [on.span.traceId, on.span.spanId, 0x301]);
    const [attempt] = collector.under(span);
    const [version, trace, parent, flags] = parentOf(left).split('-');
    assert.deepEqual([version, trace, parent], ['00', on.span.traceId, attempt.id]);
    assert.equal(Number.parseInt(flags, 16) & 1, 1);
    assert.equal(left.requests.at(-1).headers.tracestate, 'vendor=a1,b=2');

    const off = application(new AlwaysOffSampler());
    await request(`${proxy.origin}/db/b`, { headers: off.headers });
    assert.equal(parentOf(left), off.headers.traceparent, 'what is not sampled passes as it came');
    await request(`${proxy.origin}/db/c`);
    assert.equal(parentOf(left), undefined, 'and nothing begins by chance, of none');
    const again = application(new AlwaysOnSampler());
    await request(`${proxy.origin}/db/d`, { headers: again.headers });
    const spans = await told(collector, 2);
    assert.deepEqual(spans.map((s) => s.trace), [on.span.traceId, again.span.traceId]);
}));

test('a client that is not believed begins no trace, and the region is told none', traced({}, async (proxy, collector) => {
    const on = application(new AlwaysOnSampler());
    await request(`${proxy.origin}/db/a`, { headers: { ...on.headers, tracestate: 'x=1' } });
    const [span] = await told(collector, 1);
    assert.notEqual(span.trace, on.span.traceId);
    assert.equal(span.parent, null);
    assert.deepEqual([parentOf(left), left.requests.at(-1).headers.tracestate], [undefined, undefined]);
}, { headers: { traceparent: 'remove' } }));

test('a reload changes what is sampled and told, without a restart', traced({ sample_per_million: 0 }, async (proxy, collector) => {
    await request(`${proxy.origin}/db/a`);
    proxy.config.tracing = { ...proxy.config.tracing, sample_per_million: 1_000_000, databases: 'no', service_name: 'other' };
    await reload(proxy, 'done');
    await request(`${proxy.origin}/db/b`);
    const [span] = await told(collector, 1);
    assert.equal('db.namespace' in span, false);
    assert.equal(collector.requests.at(-1).resource['service.name'], 'other');
    proxy.config.tracing = { ...proxy.config.tracing, endpoint: 'http://127.0.0.1:9/v1/traces' };
    await reload(proxy, 'refused');
}));

test('a collector that is busy is asked again, and what it rejects is counted', traced({}, async (proxy, collector) => {
    collector.mode = 'busy';
    await request(`${proxy.origin}/db/a`);
    await until('it to be asked', () => collector.asked > 0);
    collector.mode = 'partial';
    await told(collector, 1);
    // Both spans in one batch, of which one is rejected; or in two, if the first went out between them.
    const total = async (what) => proxy.metric(`davenport_trace_spans_${what}_total`);
    await until('both to be counted', async () => (await total('exported')) + (await total('dropped')) === 2);
    const rejected = await total('dropped');
    assert.ok(rejected >= 1);
    await until('it to be said', () => /"event":"spans_exported_again"/.test(proxy.child.text()));
    assert.match(proxy.child.text(), /"event":"spans_not_exported","key":"tracing.endpoint","reason":"it answered 503"/);
    collector.mode = 'refuses';
    await request(`${proxy.origin}/db/b`);
    await counted(proxy, 'dropped', rejected + 2);
}));

// The rings hold 64 spans; the collector takes the first batch and says nothing.
test('a collector that hangs holds up nobody', traced({ queue_spans: 64, timeout_ms: 60_000 }, async (proxy, collector) => {
    collector.mode = 'silent';
    await request(`${proxy.origin}/db/first`);
    await until('it to be asked', () => collector.asked > 0);
    for (let i = 0; i < 100; i += 1) {
        assert.equal((await request(`${proxy.origin}/db/${i}`)).status, 200);
    }
    // An answer is told before its spans are. A first batch of one span leaves its other one in the ring.
    const dropped = await until('all to be dropped but those that the ring holds', async () => {
        const n = await proxy.metric('davenport_trace_spans_dropped_total');
        return n >= 200 - 64 && n;
    });
    assert.ok(dropped <= 200 - 63, `${dropped} dropped: no more than the ring has no room for`);
    assert.equal(await proxy.metric('davenport_trace_spans_exported_total'), 0);
    assert.equal(await proxy.metric('davenport_answers_2xx_total'), 101);
}));

// The proxy waits 2 s for the collector, and a busy machine may stand still for longer: then it says how many are lost.
test('what is left at the end is told', async (t) => {
    for (let lost = 1, tries = 0; lost > 0; tries += 1) {
        assert.ok(tries < 5, 'the collector never had them in time');
        const collector = await Collector.start();
        let child;
        await withProxy(() => [left, right], calm(tracing(collector)), async (proxy) => {
            child = proxy.child;
            for (let i = 0; i < 5; i += 1) {
                await request(`${proxy.origin}/db/${i}`);
            }
        })(t);
        lost = Number(/"event":"spans_lost","key":"tracing.endpoint","spans":(\d+)/.exec(child.text())?.[1] ?? 0);
        assert.ok(collector.spans.length + lost >= 10, `${collector.spans.length} told, ${lost} lost`);
        assert.ok(collector.spans.length <= 10, 'told twice');
        await collector.close();
    }
});

test('without a collector all goes on, and the end comes', async (t) => {
    const nobody = await Collector.start();
    await nobody.close();
    await withProxy(() => [left, right], calm(tracing(nobody)), async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
        await until('it to be said', () => /"event":"spans_not_exported"/.test(proxy.child.text()));
        assert.equal((await request(`${proxy.origin}/db/b`)).status, 200);
    })(t);
});

test('a collector by https proves its name against tls.ca_file, which a reload changes', async (t) => {
    const [theirs, another] = [new Authority('theirs'), new Authority('another')];
    const collector = await Collector.start(theirs.leaf('collector', 'IP:127.0.0.1'));
    await withProxy(() => [left, right], tracing(collector, { tls: { ca_file: another.file } }), async (proxy) => {
        assert.equal((await request(`${proxy.origin}/db/a`)).status, 200);
        await until('it to be said', () => /"event":"spans_not_exported".*certificate/.test(proxy.child.text()));
        assert.equal(collector.asked, 0);
        proxy.config.tracing.tls.ca_file = theirs.file;
        await reload(proxy, 'done');
        assert.match((await proxy.events()).findLast((line) => line.event === 'reloaded').detail, /tracing\.tls\.ca_file.*TLS files of tracing/);
        await request(`${proxy.origin}/db/b`);
        await told(collector, 1);
        writeFileSync(another.file, 'no certificate');
        proxy.config.tracing.tls.ca_file = another.file;
        await reload(proxy, 'refused');
        assert.match((await proxy.events()).findLast((line) => line.event === 'reload_refused').detail, /tracing.*ca\.pem/);
    })(t);
    await collector.close();
});

test('a key is not sent in the clear, and what is wrong is named', () => {
    const check = (tracing) => {
        const proxy = new Proxy({ regions: [{ name: 'left', url: left.origin }], tracing });
        const done = Proxy.run(['check', '-c', proxy.configPath]);
        return [done.status, done.stderr.replaceAll(proxy.configPath, 'f')];
    };
    for (const [tracing, said] of [
        [{ endpoint: 'http://collector:4318' }, /f: tracing.endpoint: must say the path too/],
        [{ endpoint: 'http://u:p@h/v1/traces' }, /f: tracing.endpoint: must be a URL without spaces, user or password/],
        [{ endpoint: 'http://collector:4318/v1/traces', field: 'X-Key: hush9' }, /f: tracing.field: would go to tracing.endpoint in the clear/],
        [{ endpoint: 'https://collector/v1/traces', field: 'hush9' }, /f: tracing.field: must be a field, its name and its value/],
        [{ endpoint: 'https://collector/v1/traces', field: 'X: hush9\r\nY: z' }, /f: tracing.field: must not hold control characters/],
        [{ endpoint: 'http://127.0.0.1:4318/v1/traces', tls: { ca_file: 'ca.pem' } }, /f: tracing.tls: is for a tracing.endpoint that begins with https/],
        [{ endpoint: 'https://collector/v1/traces', tls: { ca_file: '/nowhere/ca.pem' } }, /f: tracing.tls: \/nowhere\/ca.pem cannot be opened/],
        [{ field: 'X-Key: hush9' }, /f: tracing.field: says how to reach tracing.endpoint, which is not given/],
    ]) {
        const [status, stderr] = check(tracing);
        assert.notEqual(status, 0, JSON.stringify(tracing));
        assert.match(stderr, said);
        assert.doesNotMatch(stderr, /hush9|u:p/);
    }
});
