// Certificates made for one test run by the openssl program, and a region that speaks TLS.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { atExit, scratch } from './wait.mjs';

function openssl(...args) {
    const done = spawnSync('openssl', args, { encoding: 'utf8' });
    if (done.status !== 0) {
        throw new Error(`openssl ${args[0]} failed: ${done.error ?? done.stderr}`);
    }
    return done.stdout;
}

// An authority with leaves: authority.leaf('name', 'DNS:localhost') gives {cert, key}, paths of PEM files.
export class Authority {
    constructor(name = 'authority') {
        this.folder = scratch(name);
        this.file = join(this.folder, 'ca.pem');
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`,
            '-days', '2', '-keyout', join(this.folder, 'ca.key'), '-out', this.file);
    }

    leaf(name, alternatives, days = '2') {
        const path = (end) => join(this.folder, `${name}.${end}`);
        writeFileSync(path('ext'), `subjectAltName=${alternatives}\n`);
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`,
            '-keyout', path('key'), '-out', path('csr'));
        openssl('x509', '-req', '-in', path('csr'), '-CA', this.file, '-CAkey', join(this.folder, 'ca.key'), '-CAcreateserial',
            '-days', days, '-extfile', path('ext'), '-out', path('pem'));
        return { cert: path('pem'), key: path('key') };
    }
}

// "sha256//…" of a certificate's public key.
export function pin(cert) {
    const pem = openssl('x509', '-in', cert, '-noout', '-pubkey');
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    return `sha256//${createHash('sha256').update(der).digest('base64')}`;
}

// A region behind TLS that tells what it saw of each request, and echoes the hash of its body.
export class TlsRegion {
    static async start(name, leaf, options = {}) {
        const region = new TlsRegion();
        region.name = name;
        region.probePath = '/_up';
        region.seen = [];
        region.sockets = new Set();
        region.server = https.createServer(
            { cert: readFileSync(leaf.cert), key: readFileSync(leaf.key), ALPNProtocols: ['http/1.1'], ...options },
            (request, response) => region.answer(request, response),
        );
        region.server.unref(); // a test that failed before it could close it ends all the same
        region.server.keepAliveTimeout = 300_000; // as CouchDB's; node's own is 5 s
        region.server.on('connection', (socket) => {
            region.sockets.add(socket);
            socket.on('close', () => region.sockets.delete(socket));
        });
        await new Promise((resolve) => region.server.listen(0, '127.0.0.1', resolve));
        region.origin = `https://localhost:${region.server.address().port}`;
        atExit(() => region.kill());
        return region;
    }

    answer(request, response) {
        const hash = createHash('sha256');
        request.on('data', (bytes) => hash.update(bytes));
        request.on('end', () => {
            const socket = request.socket;
            const seen = {
                region: this.name,
                url: request.url,
                servername: socket.servername,
                alpn: socket.alpnProtocol,
                version: socket.getProtocol(),
                resumed: socket.isSessionReused(),
                client: socket.getPeerCertificate().subject?.CN,
                proto: request.headers['x-forwarded-proto'],
                body: hash.digest('hex'),
            };
            if (request.url !== '/_up') {
                this.seen.push(seen);
            }
            response.setHeader('content-type', 'application/json');
            if (request.url.startsWith('/big/')) {
                response.end(Buffer.alloc(Number(request.url.slice(5)), 'x'));
            } else {
                response.end(JSON.stringify(seen));
            }
        });
    }

    kill() {
        this.server.close();
        for (const socket of this.sockets) {
            socket.resetAndDestroy?.() ?? socket.destroy();
        }
    }
}
