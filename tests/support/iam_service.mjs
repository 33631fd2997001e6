// A stand-in for IBM's token service (IAM): its documented answers, errors and delays included, under test control. It is no
// IAM, and its tokens are only random words.
//
//   const iam = await IamService.start({ key: 'api key' });
//   iam.url                         what goes into token_url
//   iam.mode = 'ok' | 'busy' (503) | 'limited' (429) | 'silent' | 'garbage'
//   iam.life_s                      expires_in of the next tokens
//   iam.asks, iam.tokens            how often it was asked, what it gave

import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { atExit } from './wait.mjs';

const GRANT = 'urn:ibm:params:oauth:grant-type:apikey';

export class IamService {
    static async start({ key }) {
        const service = new IamService(key);
        await service.revive();
        return service;
    }

    constructor(key) {
        Object.assign(this, { key, mode: 'ok', life_s: 3600, asks: 0, tokens: [], port: 0, server: null });
        atExit(() => this.server?.closeAllConnections());
    }

    get url() {
        return `http://127.0.0.1:${this.port}/identity/token`;
    }

    async revive() {
        this.server = http.createServer((req, res) => this.serve(req, res)).unref(); // a test that failed before it could close it ends all the same
        await new Promise((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
        this.port = this.server.address().port;
    }

    async close() {
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
    }

    async serve(req, res) {
        let body = '';
        for await (const part of req) {
            body += part;
        }
        this.asks += 1;
        const say = (status, json) => {
            res.writeHead(status, { 'content-type': 'application/json' });
            res.end(JSON.stringify(json));
        };
        const form = new URLSearchParams(body);
        if (this.mode === 'silent') {
            return;
        }
        if (this.mode === 'busy') {
            say(503, { errorCode: 'BXNIM0503E', errorMessage: 'Service unavailable.' });
        } else if (this.mode === 'limited') {
            say(429, { errorCode: 'BXNIM0429E', errorMessage: 'Too many requests.' });
        } else if (this.mode === 'garbage') {
            res.end('<html>gateway</html>');
        } else if (req.method !== 'POST' || req.url !== '/identity/token' || form.get('grant_type') !== GRANT) {
            say(400, { errorCode: 'BXNIM0109E', errorMessage: "Property missing or empty: 'grant_type'." });
        } else if (form.get('apikey') !== this.key) {
            say(400, { errorCode: 'BXNIM0415E', errorMessage: 'Provided API key could not be found.' });
        } else {
            const token = `eyJ.${randomBytes(24).toString('base64url')}.sig`;
            this.tokens.push(token);
            say(200, {
                access_token: token,
                refresh_token: 'not_supported',
                token_type: 'Bearer',
                expires_in: this.life_s,
                expiration: Math.floor(Date.now() / 1000) + this.life_s,
                scope: 'ibm openid',
            });
        }
    }
}
