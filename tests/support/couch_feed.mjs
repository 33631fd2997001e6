// _changes of a CouchRegion: normal, longpoll, continuous and eventsource, with CouchDB's framing, and its ways to break:
// a second head in the middle of the body when maintenance begins, bytes behind the end of an eventsource.

import { MALFORMED } from './couch_database.mjs';

const bad = (status, error, reason, headers = {}) => ({ status, value: { error, reason }, headers });
const FEEDS = ['normal', 'continuous', 'live', 'longpoll', 'eventsource'];
const NODEDOWN = '{"error":"nodedown","reason":"progress not possible"}\n';
const DEFAULT_MS = 60_000;

function options({ method, at, req, read }) {
    if (!['GET', 'POST', 'HEAD'].includes(method)) {
        return { wrong: bad(405, 'method_not_allowed', 'Only GET,POST,HEAD allowed', { Allow: 'GET,POST,HEAD', Connection: 'close' }) };
    }
    if (method === 'POST' && !/json/.test(req.headers['content-type'] ?? '')) {
        return { wrong: bad(415, 'bad_content_type', 'Content-Type must be application/json', { Connection: 'close' }) };
    }
    const feed = at('feed') ?? 'normal';
    if (!FEEDS.includes(feed)) {
        return { wrong: bad(400, 'bad_request', 'Supported `feed` types: normal, continuous, live, longpoll, eventsource') };
    }
    const body = method === 'POST' ? read() : {};
    let ids;
    if (at('filter') === '_doc_ids') {
        ids = body.doc_ids ?? JSON.parse(at('doc_ids') ?? 'null');
        if (!Array.isArray(ids)) {
            return { wrong: bad(400, 'bad_request', '`doc_ids` filter parameter is not a list of doc ids.') };
        }
    }
    return {
        feed: feed === 'live' ? 'continuous' : feed,
        since: (feed === 'eventsource' && req.headers['last-event-id']) || at('last-event-id') || at('since'),
        limit: Number(at('limit') ?? Infinity),
        descending: at('descending') === 'true',
        style: at('style'),
        docs: at('include_docs') === 'true',
        conflicts: at('conflicts') === 'true',
        heartbeat: at('heartbeat') && (at('heartbeat') === 'true' ? DEFAULT_MS : Number(at('heartbeat'))),
        timeout: Math.min(Number(at('timeout') ?? DEFAULT_MS), DEFAULT_MS),
        ids: ids && new Set(ids),
    };
}

// Gives an answer, or nothing when the feed answers for itself.
export function serveChanges(region, db, ask) {
    const asked = options(ask);
    if (asked.wrong) {
        return asked.wrong;
    }
    const place = db.place(asked.since);
    if (!place) {
        return { status: 400, value: MALFORMED, headers: {} };
    }
    new Feed(region, db, ask, asked, place).begin();
    return undefined;
}

class Feed {
    constructor(region, db, { res, method }, asked, place) {
        Object.assign(this, { region, db, res, asked, place, start: place, headless: method === 'HEAD' });
        Object.assign(this, { left: asked.limit, wrote: 0, ended: false });
    }

    get open() {
        return this.asked.feed !== 'normal';
    }

    begin() {
        const events = this.asked.feed === 'eventsource';
        this.res.writeHead(200, {
            'Cache-Control': events ? 'no-cache' : 'must-revalidate',
            'Content-Type': events ? 'text/event-stream' : 'application/json',
            Server: 'CouchDB/3.4.3 (Erlang OTP/25)',
        });
        if (this.headless) {
            this.res.end();
            return;
        }
        this.lines = this.asked.feed === 'continuous' || events;
        this.say(this.lines ? '' : '{"results":[\n');
        this.some();
        if (!this.open || this.left === 0 || (this.asked.feed === 'longpoll' && this.wrote > 0) || this.region.mode === 'nolb') {
            this.end();
            return;
        }
        this.say('\n');
        this.wake = (why) => this.woken(why);
        this.db.watchers.add(this.wake);
        this.timer = setInterval(() => this.tick(), this.asked.heartbeat || this.asked.timeout);
        this.res.on('close', () => this.forget());
        if (this.res.destroyed || this.res.closed) {
            this.forget(); // it went away while this region was frozen
        }
    }

    say(text) {
        if (text !== '') {
            this.res.write(text);
        }
    }

    some() {
        for (const row of this.db.rows(this.place, this.asked)) {
            if (this.left === 0) {
                break;
            }
            if (!this.asked.ids || this.asked.ids.has(row.id)) {
                const told = this.db.row(row, this.asked);
                const text = JSON.stringify(told);
                if (this.asked.feed === 'eventsource') {
                    this.say(`data: ${text}\nid: ${JSON.stringify(told.seq)}\n\n`);
                } else {
                    this.say(this.lines ? `${text}\n` : `${this.wrote > 0 ? ',\n' : ''}${text}`);
                }
                this.wrote += 1;
                this.left -= 1;
            }
            this.place = row.place;
        }
    }

    async woken(why) {
        await this.region.frozen?.promise;
        if (this.ended || this.res.destroyed) {
            return;
        }
        if (why === 'maintenance_mode') {
            const head = `HTTP/1.1 412 Precondition Failed\r\nContent-Length: ${NODEDOWN.length}\r\nContent-Type: application/json\r\n\r\n`;
            this.forget();
            this.res.socket?.write(head + NODEDOWN);
        } else if (why === 'deleted' || why === 'nolb') {
            this.end();
        } else {
            this.some();
            if (this.left === 0 || (this.asked.feed === 'longpoll' && this.wrote > 0)) {
                this.end();
            }
        }
    }

    tick() {
        if (this.region.frozen || this.ended) {
            return;
        }
        if (this.asked.heartbeat) {
            this.say(this.asked.feed === 'eventsource' ? 'event: heartbeat\ndata: \n\n' : '\n');
        } else {
            this.end();
        }
    }

    forget() {
        this.ended = true;
        clearInterval(this.timer);
        this.db.watchers.delete(this.wake);
    }

    end() {
        this.forget();
        const { descending, ids, since, limit } = this.asked;
        // Some count what was told of all, and with a limit of 0 the reader is where it said that it was.
        const rest = descending || ids ? this.db.rows(this.start, this.asked).length - this.wrote : this.db.rows(this.place).length;
        const seq = limit === 0 && since?.includes('-') ? since : this.db.token(this.place);
        const last = `"last_seq":${JSON.stringify(seq)},"pending":${rest}}\n`;
        if (this.asked.feed === 'eventsource') {
            const { socket } = this.res;
            this.res.end(() => socket?.write('1\r\n\n\r\n0\r\n\r\n'));
            return;
        }
        this.say(this.lines ? `{${last}` : `\n],\n${last}`);
        this.say('\n');
        this.res.end();
    }
}
