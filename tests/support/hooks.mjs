// A drill's commands for the regions of a test: each is a curl to this process, which does it and answers when it is done. So
// whoever runs them (the drill, its guard), regions stay this process's own.

import http from 'node:http';

const ACTIONS = { stop: 'kill', start: 'revive', freeze: 'freeze', thaw: 'thaw' };

export class Hooks {
    static async start(regions) {
        const hooks = new Hooks(regions);
        await new Promise((resolve) => hooks.server.listen(0, '127.0.0.1', resolve));
        return hooks;
    }

    constructor(regions) {
        this.calls = [];
        this.failing = new Set(); // "start left": answered 500
        this.server = http.createServer(async (request, response) => {
            const [, action, name] = request.url.split('/');
            this.calls.push(`${action} ${name}`);
            let status = 200;
            if (this.failing.has(`${action} ${name}`)) {
                status = 500;
            } else {
                await regions.find((region) => region.name === name)[ACTIONS[action]]();
            }
            response.writeHead(status).end();
        });
        this.server.unref();
    }

    // The members of a plan's region.
    of(name) {
        const { port } = this.server.address();
        return Object.fromEntries(Object.keys(ACTIONS).map((action) => [action, `curl -sf http://127.0.0.1:${port}/${action}/${name}`]));
    }

    count(call) {
        return this.calls.filter((one) => one === call).length;
    }

    close() {
        this.server.closeAllConnections();
        return new Promise((resolve) => this.server.close(resolve));
    }
}
