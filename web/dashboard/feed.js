// The live feed: server-sent events read by fetch, for EventSource can't send a token; and by it the page knows whether it is
// up to date. A feed that ends, fails or falls silent is asked for again, later each time.

const SILENCE_MS = 5000; // a state comes each second
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

// Takes text as it comes; calls take({event, id, data}) for each whole event (HTML Living Standard, 9.2.6).
function eventReader(take) {
    let rest = '';
    let event = '';
    let id;
    let data = [];
    const line = (one) => {
        if (one === '') {
            if (data.length) {
                take({ event: event || 'message', id, data: data.join('\n') });
            }
            event = '';
            data = [];
            return;
        }
        const colon = one.indexOf(':');
        const field = colon < 0 ? one : one.slice(0, colon);
        const value = colon < 0 ? '' : one.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') {
            event = value;
        } else if (field === 'data') {
            data.push(value);
        } else if (field === 'id') {
            id = value;
        }
    };
    return (piece) => {
        const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop();
        lines.forEach(line);
    };
}

// on.opening(): about to ask. on.event({event, id, data}). on.lost({why, denied, retryAt}): contact is lost, retryAt in page time (performance.now());
// denied: a token is needed, and nothing is asked until again() is called. headers(): those of each request.
function follow(path, headers, on) {
    let lastId;
    let failures = 0;
    let timer;
    let current;
    let turn = 0;

    async function once() {
        const stop = new AbortController();
        let silence;
        const alive = () => {
            clearTimeout(silence);
            silence = setTimeout(() => stop.abort(new Error('it fell silent')), SILENCE_MS);
        };
        current = stop;
        alive();
        try {
            await on.opening(stop.signal);
            const answer = await fetch(path, {
                headers: { ...headers(), ...(lastId && { 'Last-Event-ID': lastId }) },
                cache: 'no-store',
                signal: stop.signal,
            });
            if (!answer.ok) {
                throw await refusalOf(answer);
            }
            const read = eventReader((one) => {
                lastId = one.id ?? lastId;
                failures = 0;
                on.event(one);
            });
            const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
            for (let piece = await text.read(); !piece.done; piece = await text.read()) {
                alive();
                read(piece.value);
            }
            throw new Error('it ended the connection');
        } finally {
            clearTimeout(silence);
            stop.abort();
        }
    }

    async function run(mine) {
        try {
            await once();
        } catch (error) {
            if (mine !== turn) {
                return; // it was given up for another
            }
            const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
            const denied = error.status === 401;
            failures++;
            on.lost({ why: error.status ? error.message : whyLost(error), denied, retryAt: denied ? null : performance.now() + wait });
            if (!denied) {
                timer = setTimeout(begin, wait);
            }
        }
    }

    function begin() {
        clearTimeout(timer);
        turn++;
        current?.abort(new Error('given up'));
        run(turn);
    }

    begin();
    return {
        again() {
            failures = 0;
            begin();
        },
    };
}

// A browser says of a connection refused only that it failed.
const whyLost = (error) => (error instanceof TypeError ? 'nobody answers' : error.message);

// An answer that is not what was asked for, as an error with its status and what it says.
async function refusalOf(answer) {
    const body = record(await answer.json().catch(() => null));
    return Object.assign(new Error(text(body.reason) || `status ${answer.status}`), { status: answer.status, body });
}
