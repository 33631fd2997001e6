// Sockets: a port that stays one's own, and a reset.

// A port for a server that will be killed and must come back on the same one.
//
// Not from the kernel's ephemeral range: while the server is down, any outgoing connection of this machine
// could be given its port. And no other test that runs beside this one may be: the port of the same number in UDP,
// which nobody here speaks, is this process's for as long as it lives, and says so.

import dgram from 'node:dgram';
import net from 'node:net';

const LOW = 16_000;
const HIGH = 32_000;

function isFree(port) {
    return new Promise((resolve) => {
        const probe = net.createServer();
        probe.once('error', () => resolve(false));
        probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
    });
}

function reserve(port) {
    return new Promise((resolve) => {
        const mark = dgram.createSocket('udp4').unref();
        mark.once('error', () => resolve(false));
        mark.bind({ port, address: '127.0.0.1', exclusive: true }, () => resolve(true));
    });
}

export async function pickPort() {
    for (let tries = 0; tries < 200; tries += 1) {
        const port = LOW + Math.floor(Math.random() * (HIGH - LOW));
        if ((await reserve(port)) && (await isFree(port))) {
            return port;
        }
    }
    throw new Error(`no free port between ${LOW} and ${HIGH}`);
}

// Close with a RST and no FIN before it, as the kernel does for a process that dies with bytes unread.
// (resetAndDestroy() sends a FIN first while the socket is writable.)
export function reset(socket) {
    socket.resetAndClosing = true;
    socket.destroy();
}
