// A scripted region that asks who comes: Basic with CouchDB's lock-out, a set of bearer tokens, and CouchDB's proxy
// authentication. Its answers are those of CouchDB 3.4.3 (transcripts, topic 09); the lock-out counts by user, for every
// request comes from one address.
//
//   const region = await GuardedRegion.start('left', { users: { us: 'pw' } });
//   region.users, region.bearers (a Set or a function of the token), region.secret, region.hash
//   region.failures      wrong passwords so far; five lock the user out
//   region.who           [user or null, target] of every request but probes

import { createHmac } from 'node:crypto';
import { answer } from './couchdb_rows.mjs';
import { ScriptedRegion } from './scripted_region.mjs';

const LOCK = 5;
const refusal = (status, error, reason) => [answer(status, { error, reason })];

export class GuardedRegion {
    static async start(name, options = {}) {
        const region = await ScriptedRegion.start(name);
        const guard = Object.assign(
            region,
            { users: {}, bearers: new Set(), secret: null, hash: 'sha1', failures: 0, locked: {}, who: [] },
            options,
        );
        region.on(() => true, (request) => serve(guard, request));
        return guard;
    }
}

// {user, roles}, or {refusal}: steps.
function authenticate(region, request) {
    const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ');
    const user = request.headers['x-auth-couchdb-username'];
    if (region.secret && user !== undefined) {
        const token = createHmac(region.hash, region.secret).update(user).digest('hex');
        const good = request.headers['x-auth-couchdb-token'] === token;
        return { user: good ? user : null, roles: (request.headers['x-auth-couchdb-roles'] ?? '').split(',').filter(Boolean) };
    }
    if (scheme === 'Bearer') {
        return { user: region.bearers.has(value) ? 'iam-user' : null, roles: [] };
    }
    if (scheme !== 'Basic') {
        return { user: null, roles: [] };
    }
    const [name, password] = Buffer.from(value, 'base64').toString().split(/:(.*)/s);
    if ((region.locked[name] ?? 0) >= LOCK) {
        return { refusal: refusal(403, 'forbidden', 'Account is temporarily locked due to multiple authentication failures') };
    }
    if (region.users[name] !== password) {
        region.failures += 1;
        region.locked[name] = (region.locked[name] ?? 0) + 1;
        return { refusal: refusal(401, 'unauthorized', 'Name or password is incorrect.') };
    }
    return { user: name, roles: [] };
}

function serve(region, request) {
    const line = `${request.method} ${request.target}`;
    const { user, roles, refusal: no } = authenticate(region, request);
    if (!/^GET \/(_up)?$/.test(line)) {
        region.who.push([no ? undefined : user, request.target]);
    }
    if (no) {
        return no;
    }
    if (line === 'GET /_up') {
        return [answer(200, { status: 'ok', seeds: {} })];
    }
    if (line === 'GET /_session') {
        return [answer(200, { ok: true, userCtx: { name: user, roles }, info: { authentication_handlers: ['cookie', 'default'] } })];
    }
    if (user === null) {
        return refusal(401, 'unauthorized', 'You are not authorized to access this db.');
    }
    return [answer(request.method === 'PUT' ? 201 : 200, { ok: true, from: region.name, user, roles })];
}
