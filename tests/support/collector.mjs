// A stand-in for an OpenTelemetry collector: takes OTLP/HTTP in JSON, and holds each request against the official protocol
// (opentelemetry-proto, as @opentelemetry/otlp-transformer carries it, compiled). It is no collector; what it says back is what
// the OTLP specification lets one say.
//
//   const collector = await Collector.start();      Collector.start({cert, key}): by TLS, with these files
//   collector.url                   what goes into tracing.endpoint
//   collector.mode = 'ok' | 'silent' (takes, never answers) | 'busy' (503 with Retry-After: 1) | 'refuses' (400) | 'partial'
//   collector.spans                 all that it took, attributes as one object: see spanOf
//   collector.requests              {headers, resource} of each

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { atExit } from './wait.mjs';

const { opentelemetry } = createRequire(new URL('../e2e/', import.meta.url))('@opentelemetry/otlp-transformer/build/src/generated/root');
const { ExportTraceServiceRequest } = opentelemetry.proto.collector.trace.v1;

// JSON has ids in hexadecimal, against protobuf's own mapping: OTLP 1.x, "JSON Protobuf Encoding".
const IDS = ['traceId', 'spanId', 'parentSpanId'];
const recode = (document, ids, from, to) => {
    const copy = structuredClone(document);
    for (const { scopeSpans } of copy.resourceSpans) {
        for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
            for (const id of ids.filter((key) => key in span)) {
                span[id] = Buffer.from(span[id], from).toString(to);
            }
        }
    }
    return copy;
};

// Through the protocol and back: what it does not know, or takes for something else, does not come back the same.
export function check(document) {
    const there = ExportTraceServiceRequest.fromObject(recode(document, IDS, 'hex', 'base64'));
    assert.equal(ExportTraceServiceRequest.verify(there), null);
    const back = ExportTraceServiceRequest.decode(ExportTraceServiceRequest.encode(there).finish());
    const object = ExportTraceServiceRequest.toObject(back, { longs: String, bytes: String, enums: Number, json: true });
    assert.deepEqual(recode(object, IDS, 'base64', 'hex'), document);
}

const attributesOf = (list) =>
    Object.fromEntries(list.map(({ key, value }) => {
        const [[type, held]] = Object.entries(value);
        return [key, type === 'intValue' ? Number(held) : held];
    }));

// {name, kind, trace, id, parent, begun, ended (ns, BigInt), flags, error, …attributes}
const spanOf = (span) => ({
    ...attributesOf(span.attributes),
    name: span.name,
    kind: { 2: 'server', 3: 'client' }[span.kind],
    trace: span.traceId,
    id: span.spanId,
    parent: span.parentSpanId ?? null,
    begun: BigInt(span.startTimeUnixNano),
    ended: BigInt(span.endTimeUnixNano),
    flags: span.flags,
    error: span.status.code === 2,
});

export class Collector {
    static async start(leaf) {
        const collector = new Collector();
        const serve = (req, res) => collector.serve(req, res);
        collector.server = leaf ? https.createServer({ cert: readFileSync(leaf.cert), key: readFileSync(leaf.key) }, serve) : http.createServer(serve);
        collector.server.unref(); // a test that failed before it could close it ends all the same
        await new Promise((resolve) => collector.server.listen(0, '127.0.0.1', resolve));
        collector.url = `${leaf ? 'https' : 'http'}://127.0.0.1:${collector.server.address().port}/v1/traces`;
        return collector;
    }

    constructor() {
        Object.assign(this, { mode: 'ok', requests: [], spans: [], faults: [], asked: 0 });
        atExit(() => this.server?.closeAllConnections());
    }

    async close() {
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
        assert.deepEqual(this.faults, []);
    }

    // The requests' spans, which are whole: server spans that match.
    of(match = () => true) {
        return this.spans.filter((span) => span.kind === 'server' && match(span));
    }

    // Its attempts, in their order.
    under(request) {
        return this.spans
            .filter((span) => span.parent === request.id && span.trace === request.trace)
            .sort((a, b) => Number(a.begun - b.begun));
    }

    async serve(req, res) {
        const parts = [];
        for await (const part of req) {
            parts.push(part);
        }
        this.asked += 1;
        const say = (status, json, headers = {}) => {
            res.writeHead(status, { 'content-type': 'application/json', ...headers });
            res.end(JSON.stringify(json));
        };
        if (this.mode === 'silent') {
            return;
        }
        if (this.mode === 'busy') {
            say(503, { message: 'busy' }, { 'retry-after': '1' });
            return;
        }
        if (this.mode === 'refuses') {
            say(400, { message: 'no' });
            return;
        }
        try {
            assert.equal(`${req.method} ${req.url}`, 'POST /v1/traces');
            assert.equal(req.headers['content-type'], 'application/json');
            const document = JSON.parse(Buffer.concat(parts).toString('utf8'));
            check(document);
            for (const { resource, scopeSpans } of document.resourceSpans) {
                this.requests.push({ headers: req.headers, resource: attributesOf(resource.attributes) });
                this.spans.push(...scopeSpans.flatMap(({ spans }) => spans).map(spanOf));
            }
        } catch (error) {
            this.faults.push(error.stack);
        }
        say(200, this.mode === 'partial' ? { partialSuccess: { rejectedSpans: '1', errorMessage: 'one of them' } } : {});
    }
}
