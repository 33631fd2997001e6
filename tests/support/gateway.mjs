// An HTTP gateway in front of a region, with the fault that a TCP relay can't make: it answers the probes and
// stalls on all real work.

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
        this.stalled = false; // all but the probe's path
        this.agent = new http.Agent({ keepAlive: true });
        this.server = http.createServer((req, res) => this.serve(req, res));
        this.server.keepAliveTimeout = 0;
    }

    serve(req, res) {
        if (this.stalled && req.url !== this.probePath) {
            req.resume();
            return;
        }
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
