// The clients that applications use do through the proxy what they do without it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BasicAuthenticator, CloudantV1 } from '@ibm-cloud/cloudant';
import { NoAuthAuthenticator } from 'ibm-cloud-sdk-core';
import nano from 'nano';
import { calm } from '../support/calm.mjs';
import { request } from '../support/http.mjs';
import { withProxy } from '../support/proxy.mjs';
import { clientUrl, usesRealServers } from '../support/region.mjs';
import { useRegions } from '../support/suite.mjs';
import { until } from '../support/wait.mjs';

const suite = useRegions(1);
const url = (proxy) => clientUrl(suite.regions[0], proxy.origin);
const proxied = (body) => withProxy(() => suite.regions, calm(), body);

const rejects = (promise, status) => assert.rejects(promise, (error) => (error.statusCode ?? error.status) === status);

test(
    'nano: create, read, update, delete',
    proxied(async (proxy) => {
        const db = nano(url(proxy)).use(suite.db);
        const created = await db.insert({ kind: 'crud', n: 1 }, 'one');
        assert.equal(created.ok, true);
        assert.match(created.rev, /^1-/);
        assert.equal((await db.get('one')).n, 1);
        const head = await db.head('one');
        assert.ok(head.etag, 'HEAD has an ETag');
        const updated = await db.insert({ _rev: created.rev, kind: 'crud', n: 2 }, 'one');
        assert.match(updated.rev, /^2-/);
        await rejects(db.insert({ _rev: created.rev, n: 3 }, 'one'), 409);
        assert.equal((await db.destroy('one', updated.rev)).ok, true);
        await rejects(db.get('one'), 404);
        await rejects(db.get('never-was'), 404);
    }),
);

test(
    'nano: ids that a careless proxy would change',
    proxied(async (proxy) => {
        const db = nano(url(proxy)).use(suite.db);
        for (const id of ['a/b', 'a b', 'a+b', 'ä€😀', 'a?b#c', '100%', 'a%2Fb', "quo'te\"", 'a..b', '..%2f..']) {
            await db.insert({ id }, id);
            assert.equal((await db.get(id)).id, id);
            // Seen past the proxy it is the same document.
            const direct = await request(`${suite.regions[0].direct}/${suite.db}/${encodeURIComponent(id)}`);
            assert.equal(direct.json._id, id);
        }
    }),
);

test(
    'nano: bulk, all documents, keys',
    proxied(async (proxy) => {
        const db = nano(url(proxy)).use(suite.db);
        const docs = Array.from({ length: 500 }, (_, i) => ({ _id: `bulk-${String(i).padStart(4, '0')}`, i, text: 'x'.repeat(200) }));
        const rows = await db.bulk({ docs });
        assert.equal(rows.length, 500);
        assert.ok(rows.every((row) => row.ok));
        const list = await db.list({ startkey: 'bulk-', endkey: 'bulk-\ufff0', include_docs: true });
        assert.equal(list.rows.length, 500);
        assert.deepEqual(list.rows.map((row) => row.doc.i), docs.map((doc) => doc.i));
        const some = await db.fetch({ keys: ['bulk-0003', 'bulk-nowhere', 'bulk-0499'] });
        assert.equal(some.rows[0].doc.i, 3);
        assert.equal(some.rows[1].error, 'not_found');
        assert.equal(some.rows[2].doc.i, 499);
    }),
);

test(
    'nano: views and Mango queries',
    proxied(async (proxy) => {
        const db = nano(url(proxy)).use(suite.db);
        await db.bulk({ docs: Array.from({ length: 60 }, (_, i) => ({ _id: `v-${i}`, type: 'v', n: i })) });
        await db.insert(
            {
                views: {
                    sum: {
                        map: "function (doc) { if (doc.type === 'v') { emit(doc.n % 2, doc.n); } }",
                        reduce: '_sum',
                    },
                },
            },
            '_design/app',
        );
        const grouped = await db.view('app', 'sum', { group: true });
        assert.deepEqual(grouped.rows, [{ key: 0, value: 870 }, { key: 1, value: 900 }]);
        const mapped = await db.view('app', 'sum', { reduce: false, key: 1, limit: 5, include_docs: true });
        assert.equal(mapped.rows.length, 5);
        assert.ok(mapped.rows.every((row) => row.doc.n % 2 === 1));
        const found = await db.find({ selector: { type: 'v', n: { $gte: 50 } }, limit: 100 });
        assert.equal(found.docs.length, 10);
        await db.createIndex({ index: { fields: ['n'] }, name: 'by-n' });
        const indexed = await db.find({ selector: { n: { $lt: 3 } }, use_index: undefined });
        assert.equal(indexed.docs.filter((doc) => doc.type === 'v').length, 3);
    }),
);

test(
    'the IBM SDK: documents, bulk, queries',
    proxied(async (proxy) => {
        const [username, password] = suite.regions[0].auth.replace('@', '').split(':');
        const authenticator = username ? new BasicAuthenticator({ username, password }) : new NoAuthAuthenticator();
        const service = CloudantV1.newInstance({ authenticator });
        service.setServiceUrl(proxy.origin);
        // pouchdb-server does not read gzipped requests; CouchDB does, and gets them.
        service.setEnableGzipCompression(usesRealServers());
        const db = suite.db;
        const info = await service.getServerInformation();
        assert.ok(info.result.version);
        const put = await service.putDocument({ db, docId: 'sdk-1', document: { kind: 'sdk', n: 1 } });
        assert.equal(put.result.ok, true);
        assert.equal((await service.getDocument({ db, docId: 'sdk-1' })).result.n, 1);
        await rejects(service.putDocument({ db, docId: 'sdk-1', document: { n: 2 } }), 409);
        const bulk = await service.postBulkDocs({
            db,
            bulkDocs: { docs: Array.from({ length: 50 }, (_, i) => ({ _id: `sdk-b-${i}`, kind: 'sdk', n: i })) },
        });
        assert.equal(bulk.result.length, 50);
        const all = await service.postAllDocs({ db, keys: ['sdk-1', 'sdk-b-7'], includeDocs: true });
        assert.deepEqual(all.result.rows.map((row) => row.doc.n), [1, 7]);
        const found = await service.postFind({ db, selector: { kind: 'sdk', n: { $gt: 40 } } });
        assert.equal(found.result.docs.length, 9);
        const posted = await service.postDocument({ db, document: { kind: 'posted' } });
        assert.ok(posted.result.id);
        const gone = await service.deleteDocument({ db, docId: 'sdk-1', rev: put.result.rev });
        assert.equal(gone.result.ok, true);
        await rejects(service.getDocument({ db, docId: 'sdk-1' }), 404);
    }),
);

test(
    'what a client gets through the proxy is what the region says',
    proxied(async (proxy) => {
        const region = suite.regions[0];
        const at = (origin, path) => `${origin}/${suite.db}${path}`;
        await request(at(region.direct, '/same'), { method: 'PUT', json: { a: [1, 2, 3], text: 'ä€' } });
        for (const path of ['/same', '/none', '/_all_docs?limit=3', '/_changes?limit=2', '/_local/none', '/_design/none/_view/x']) {
            for (const method of ['GET', 'HEAD']) {
                const [direct, through] = await Promise.all([
                    request(at(region.direct, path), { method }),
                    request(at(url(proxy), path), { method }),
                ]);
                assert.equal(through.status, direct.status, `${method} ${path}`);
                if (!path.startsWith('/_changes')) {
                    assert.equal(through.text, direct.text, `${method} ${path}`);
                }
                for (const name of ['content-type', 'etag', 'cache-control', 'server']) {
                    const rewritten = name === 'etag' && path.startsWith('/_changes'); // it has tokens
                    assert.equal(through.headers[name], rewritten ? undefined : direct.headers[name], `${name} of ${method} ${path}`);
                }
                assert.equal(through.headers['davenport-region'], region.name);
                assert.equal(through.headers['davenport-attempts'], '1');
            }
        }
    }),
);

test(
    'databases come and go',
    proxied(async (proxy) => {
        const server = nano(url(proxy));
        const name = `${suite.db}_extra`;
        await server.db.create(name);
        await rejects(server.db.create(name), 412);
        assert.ok((await server.db.list()).includes(name));
        assert.equal((await server.db.get(name)).db_name, name);
        await server.db.destroy(name);
        await until('the database to be gone', async () => (await request(`${url(proxy)}/${name}`)).status === 404);
    }),
);
