// Regions of several endpoints: requests are spread over a region's nodes, a node's failure is routed around inside
// its region, and only then does another region help.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { answer } from '../support/couchdb_rows.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { ScriptedRegion } from '../support/scripted_region.mjs';
import { until } from '../support/wait.mjs';

const FIN = { fin: true };
let nodes;

before(async () => {
    nodes = await Promise.all(['n0', 'n1', 'other'].map((name) => ScriptedRegion.start(name)));
});
beforeEach(async () => {
    for (const node of nodes) {
        if (!node.server) {
            await node.revive();
        }
        node.rules = [];
        node.requests = [];
        node.on(/^GET \/db\//, [answer(200, { _id: 'a', from: node.name })]);
        node.on(/^PUT \/db\//, [answer(201, { ok: true, id: 'a', rev: `1-${node.name}` })]);
    }
});
after(() => Promise.all(nodes.map((node) => node.close())));

const left = () => ({ name: 'left', endpoints: [nodes[0].origin, nodes[1].origin] });
const right = () => ({ name: 'right', url: nodes[2].origin });
const cluster = (body) =>
    withProxy(
        () => nodes,
        () => ({ regions: [left(), right()] }),
        async (proxy, t) => {
            const both = async () => {
                const region = await proxy.region('left');
                return region.endpoints.every((endpoint) => endpoint.health === 'up') && (await proxy.region('right')).health === 'up';
            };
            await until('all to be up', both);
            await body(proxy, t);
        },
    );

const from = async (proxy) => (await request(`${proxy.origin}/db/a`)).json.from;
const seen = () => nodes.map((node) => node.requests.length);

test('requests take turns at a region\'s nodes', cluster(async (proxy) => {
    for (let i = 0; i < 10; i += 1) {
        await from(proxy);
    }
    assert.deepEqual(seen(), [5, 5, 0]);
    const metrics = await proxy.metrics();
    const row = (node) => `davenport_endpoint_attempts_total{region="left",endpoint="${new URL(node.origin).host}"} 5\n`;
    assert.ok(metrics.includes(row(nodes[0])) && metrics.includes(row(nodes[1])), metrics);
    assert.ok(metrics.includes('davenport_region_endpoints_serving{region="left"} 2\n'));
}));

test('a dead node is routed around inside its region, and the region keeps the traffic', cluster(async (proxy) => {
    await nodes[1].kill();
    for (let i = 0; i < 10; i += 1) {
        assert.equal(await from(proxy), 'n0');
    }
    await until('the node to be known as down', async () => {
        const { endpoints } = await proxy.region('left');
        return endpoints[1].health === 'down' && endpoints[1].route === 'down';
    });
    assert.equal(await from(proxy), 'n0');
    assert.equal(await proxy.active(), 'left');
    const region = await proxy.region('left');
    assert.equal(region.health, 'up');
    assert.equal(region.endpoints_serving, 1);
    assert.equal(nodes[2].requests.length, 0);
    const told = (await proxy.events()).filter((line) => /_down$/.test(line.event));
    assert.deepEqual(told.map((line) => line.event), ['endpoint_down']);
    assert.equal(told[0].endpoint, new URL(nodes[1].origin).host);
    const status = proxy.cli('status').stdout;
    assert.match(status, /Endpoints of left:\n {2}http:\S+ {2}up for .*\n {2}http:\S+ {2}down for .* \(takes no requests\)/);
    assert.match(proxy.cli('explain').stdout, /1 of 2 endpoints serves; down when fewer than 1 do/);
    await nodes[1].revive();
    await until('the node to be trusted again, by requests', async () => {
        await from(proxy);
        return (await proxy.region('left')).endpoints[1].route === 'ok';
    });
    const answers = new Set();
    await until('both to answer', async () => answers.add(await from(proxy)).size === 2);
    assert.deepEqual([...answers].sort(), ['n0', 'n1']);
}));

test('a region whose nodes are all dead is left', cluster(async (proxy) => {
    await Promise.all([nodes[0].kill(), nodes[1].kill()]);
    for (let i = 0; i < 6; i += 1) {
        assert.equal(await from(proxy), 'other');
    }
    await proxy.untilActive('right');
    const move = (await proxy.events()).find((line) => line.event === 'failover');
    assert.match(move.reason, /left is down: 0 of 2 endpoints serve \(needed: 1\)/);
}));

test('a write that a node may have carried out goes to another region, not to its sibling', cluster(async (proxy) => {
    nodes[0].on(/^PUT /, [FIN]);
    nodes[1].on(/^PUT /, [FIN]);
    const reply = await request(`${proxy.origin}/db/a`, { method: 'PUT', json: { n: 1 } });
    assert.equal(reply.status, 201);
    assert.equal(reply.json.rev, '1-other');
    const [n0, n1, other] = seen();
    assert.equal(n0 + n1, 1);
    assert.equal(other, 1);
}));
