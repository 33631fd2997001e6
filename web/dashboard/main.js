// The page as a whole: contact, token, what is drawn when.

const TOKEN = 'davenport-token'; // in this tab's session only: no cookie, no URL

const credentials = () => (sessionStorage.getItem(TOKEN) ? { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}` } : {});

function speak(words) {
    if (byId('spoken').textContent !== words) {
        byId('spoken').textContent = words;
    }
}

// ---- contact ----

async function get(path, signal) {
    const answer = await fetch(path, { headers: credentials(), cache: 'no-store', signal });
    if (!answer.ok) {
        throw await refusalOf(answer);
    }
    return answer.json();
}

const feed = follow('/live', credentials, {
    // Each time anew, for much may have happened without us.
    async opening(signal) {
        STORE.who = await get('/whoami', signal);
        takePoints(await get('/history', signal), true);
    },
    event({ event, id, data }) {
        const body = parse(data);
        if (event === 'state') {
            takeState(body);
            STORE.contact = { state: 'live', why: '', retryAt: null };
            draw();
        } else if (event === 'journal') {
            takeLine(id, body);
        } else if (event === 'history') {
            takePoints(body, false);
            drawPastSoon();
        }
    },
    lost({ why, denied, retryAt }) {
        STORE.contact = { state: denied ? 'denied' : 'lost', why, retryAt };
        if (denied) {
            needToken(why);
        }
        draw();
    },
});

function drawContact() {
    const { state, why, retryAt } = STORE.contact;
    const stale = STORE.heardAt === null ? null : pageTime() - STORE.heardAt;
    const old = stale === null ? 'Nothing has been heard yet.' : `What you see is ${age(stale)} old, of ${clockText(wallTime(STORE.heardAt), true)}.`;
    const wait = retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    const words = {
        connecting: [sign('idle'), ' connecting …'],
        live: [sign('good'), ' live, ', el('time', null, clockText(wallTime(pageTime()), true))],
        lost: [sign('bad'), el('b', null, ` No contact: ${why}.`), ` ${old} `, wait ? `Trying again in ${wait} s. ` : 'Trying again … ', el('button', { type: 'button', 'data-do': 'again' }, 'Try now')],
        denied: [sign('warn'), el('b', null, ' A token is needed.'), ` ${old} `, el('button', { type: 'button', 'data-do': 'token' }, 'Give a token')],
    };
    byId('contact').className = `contact ${state}`;
    show(byId('contact'), words[state]);
    byId('page').classList.toggle('stale', state !== 'live' && STORE.status !== null);
}

// ---- the token ----

function needToken(why) {
    const dialog = byId('token');
    if (dialog.open) {
        return;
    }
    const had = sessionStorage.getItem(TOKEN);
    const form = el(
        'form',
        { method: 'dialog' },
        el('h2', { id: 'token-title' }, 'A token is needed'),
        el('p.muted', null, had ? `The one that was given is not taken${why ? `: ${why}` : ''}.` : 'As admin.tokens of the configuration names them. It stays in this tab and is forgotten with it.'),
        el('label.field', null, el('span', null, 'Token'), el('input', { name: 'token', type: 'password', autocomplete: 'off', required: true })),
        el('div.actions', null, el('button.strong', { type: 'submit' }, 'Go on'), el('button', { type: 'button', 'data-do': 'token-close' }, 'Cancel')),
    );
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        sessionStorage.setItem(TOKEN, form.elements.token.value.trim());
        dialog.close();
        feed.again();
    });
    dialog.replaceChildren(form);
    dialog.showModal();
}

// ---- drawing ----

function drawHeadline({ status, explain }) {
    const { tone, title, why, spoken } = headlineOf(status);
    const next = nextOf(explain);
    show(
        byId('headline'),
        el(`div.headline.${tone}`, null, sign(tone), el('div', null, el('h1', null, title), why && el('p.why', null, why))),
        el(
            'div.next',
            null,
            next.length > 0 && el('ul.says', { 'aria-label': 'What stands, and what comes next' }, next.map((one) => el('li', null, one))),
            el(
                'div.actions',
                null,
                waysOut(status).map((region) => orderButton('switch', region.name, `Switch to ${region.name}`)),
                status.frozen ? orderButton('unfreeze', null, 'Unfreeze') : orderButton('freeze', null, 'Freeze'),
                STORE.who?.role === 'read' && el('span.muted', null, 'Your token may read, not order.'),
            ),
        ),
    );
    document.title = `${TONES[tone].sign} ${status.active ?? 'no region'} · Davenport`;
    speak(spoken);
}

// The charts are redrawn once for all points of one piece.
let pastDue = false;
function drawPastSoon() {
    if (!pastDue) {
        pastDue = true;
        requestAnimationFrame(() => {
            pastDue = false;
            if (STORE.status) {
                drawPast();
            }
        });
    }
}

let drawnOnce = false;

function draw() {
    drawContact();
    if (!STORE.status) {
        return;
    }
    byId('where').textContent = `${STORE.status.listen}${STORE.who?.by === 'token' ? ` · ${STORE.who.actor}` : ''}`;
    drawHeadline(STORE);
    drawFigures(STORE);
    drawRegions(STORE);
    drawWayBack(STORE);
    drawJournal();
    drawProgram(STORE);
    drawOrder();
    if (!drawnOnce) {
        drawnOnce = true;
        drawPastSoon();
    }
}

const DEEDS = {
    again: () => feed.again(),
    token: () => needToken(STORE.contact.why),
    'token-close': () => byId('token').close(),
    'order-close': () => byId('order').close(),
    'order-preview': () => preview(),
    'journal-whole': () => {
        journalWhole = true;
        drawJournal();
    },
};

addEventListener('click', ({ target }) => {
    const button = target.closest('button');
    if (button?.dataset.order) {
        openOrder(button.dataset.order, button.dataset.region);
    } else if (button?.dataset.do) {
        DEEDS[button.dataset.do]();
    }
});

watchCharts();
drawContact();
// Between two states: how old they are, and when it is tried again.
setInterval(drawContact, 1000);
