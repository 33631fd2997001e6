// What happens to regions while applications are at work: one dies, freezes, comes back, or an operator moves the
// traffic. Each act is over when the proxy has seen it and those at work have got on meanwhile.

import { until } from './wait.mjs';

export class Chaos {
    // busy(): gives when everybody at work has got something done since it was called. stays: that they do so once more where
    // traffic has returned to, for who looks at what was read there.
    constructor(proxy, regions, busy, { stays = false } = {}) {
        Object.assign(this, { proxy, regions, busy, stays });
        this.said = [];
        this.returns = []; // [from, to]: when traffic had returned to a region, and the next act
    }

    async act(what, act) {
        const began = performance.now();
        await act();
        await this.busy();
        this.said.push(`${what} ${Math.round(performance.now() - began)} ms`);
    }

    healthy(region) {
        return until(`${region.name} to be up`, async () => (await this.proxy.region(region.name)).health === 'up');
    }

    // The active region is lost, and comes back; if it is the preferred one the traffic returns to it.
    async lose(region, how, back) {
        await this.act(`${region.name}: ${how}`, async () => {
            await region[how]();
            await until('the traffic to move', async () => (await this.proxy.active()) !== region.name);
        });
        await this.act(`${region.name}: ${back}`, async () => {
            await region[back]();
            await this.healthy(region);
        });
        for (let tries = 0; region === this.regions[0] && !(await this.return(region)); tries += 1) {
            if (tries === 3) {
                throw new Error(`the traffic does not stay in ${region.name}`);
            }
        }
    }

    // The traffic returns to it. False: a machine that stood still took it away again meanwhile.
    async return(region) {
        let from;
        let moves;
        await this.act(`${region.name}: traffic back`, async () => {
            // A real CouchDB's replication waits up to minutes after its peer was away, and the traffic with it.
            await this.proxy.untilActive(region.name, { limit_ms: 200_000 });
            moves = await this.proxy.metric('davenport_moves_total');
            from = performance.now();
        });
        if (this.stays) {
            await this.act(`${region.name}: at work there`, async () => {});
        }
        const to = performance.now();
        const stayed = (await this.proxy.active()) === region.name && (await this.proxy.metric('davenport_moves_total')) === moves;
        if (stayed) {
            this.returns.push([from, to]);
        }
        return stayed;
    }

    // Planned: an operator moves the traffic there.
    async move(region) {
        await this.act(`switch to ${region.name}`, async () => {
            await until('the switch to be allowed', async () => (await this.proxy.move(region.name, 'a test')).status === 200);
            await this.proxy.untilActive(region.name);
        });
    }

    // A region dies that has no traffic.
    async loseStandby(region) {
        await this.act(`${region.name}: kill (standby)`, async () => {
            await region.kill();
            await until(`${region.name} to be down`, async () => (await this.proxy.region(region.name)).health === 'down');
        });
        await this.act(`${region.name}: revive`, async () => {
            await region.revive();
            await this.healthy(region);
        });
    }
}
