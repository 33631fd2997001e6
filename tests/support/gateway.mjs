// An HTTP gateway in front of a region, with the faults that a TCP relay can't make: it answers /_up and
// stalls on all real work, or is slow.

import http from 'node:http';

export class Gateway {
    static async start(region) {
        const gateway = new Gateway(region);
        await new Promise((resolve) => gateway.server.listen(0, '127.0.0.1', resolve));
        gateway.origin = `http://127.0.0.1:${gateway.server.address().port}`;
        return gateway;
    }

    constructor(region) {
        this.region = region;
        this.name = region.name;
        this.probePath = region.probePath;
        this.fault = null; // 'stall': all but the probe's path; a number: so many ms later, all of it
        this.stalled = new Set();
        this.agent = new http.Agent({ keepAlive: true });
        this.server = http.createServer((req, res) => this.serve(req, res));
        this.server.keepAliveTimeout = 0;
    }

    serve(req, res) {
        if (this.fault === 'stall' && req.url !== this.probePath) {
            this.stalled.add(res);
            res.on('close', () => this.stalled.delete(res));
            req.resume();
            return;
        }
        setTimeout(() => this.pass(req, res), typeof this.fault === 'number' ? this.fault : 0);
    }

    pass(req, res) {
        const target = new URL(req.url, this.region.origin);
        const up = http.request(target, { method: req.method, headers: req.headers, agent: this.agent }, (answer) => {
            res.writeHead(answer.statusCode, answer.rawHeaders);
            answer.pipe(res);
        });
        up.on('error', () => res.destroy());
        res.on('close', () => up.destroy());
        req.pipe(up);
    }

    async close() {
        this.agent.destroy();
        this.server.closeAllConnections();
        await new Promise((resolve) => this.server.close(resolve));
    }
}
