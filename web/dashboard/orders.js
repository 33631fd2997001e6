// Orders: a rehearsal first, then a reason, then the confirmation, which counts only while nothing was decided since the rehearsal.

const ORDERS = {
    switch: { title: (region) => `Switch traffic to ${region}`, verb: 'Switch', stands: true, what: 'Traffic goes there and is pinned: no failback undoes it. If the region is lost, traffic leaves it and the pin is over.' },
    drain: { title: (region) => `Drain ${region}`, verb: 'Drain', stands: true, what: 'The region takes no request, not even as a last resort. What was sent to it is answered.' },
    resume: { title: (region) => `Resume ${region}`, verb: 'Resume', what: 'It stands by again, held until its hold is over, for it lacks what was written meanwhile.' },
    freeze: { title: () => 'Freeze', verb: 'Freeze', stands: true, what: 'Nothing moves by itself: no failback, and no failover. A region that goes dark keeps the traffic. Orders go on.' },
    unfreeze: { title: () => 'Unfreeze', verb: 'Unfreeze', what: 'The rules decide again, at once.' },
    approve: { title: (region) => `Approve the return to ${region}`, verb: 'Approve', stands: true, what: 'Traffic may return to it when its hold is over and its gate is open otherwise.' },
    revoke: { title: (region) => `Revoke the approval of ${region}`, verb: 'Revoke', what: 'Traffic may not return to it by itself.' },
};

// Refusals that an operator may overrule (docs/operators.md, "What refuses").
const FORCIBLE = ['region_down', 'region_draining', 'min_regions', 'dwell'];

const FOR = [
    ['', 'until another order ends it'],
    ['900', '15 minutes'],
    ['3600', '1 hour'],
    ['14400', '4 hours'],
    ['86400', '1 day'],
];

const ASKED = { kind: null, region: null, force: false, preview: null, trouble: '', busy: false, done: null };

// Why no order can be given now, as attributes of a button; none: it can.
function whyNotOrder() {
    const why =
        STORE.who?.role === 'read' ? 'Your token may read, not order' : STORE.contact.state !== 'live' ? 'There is no contact to the proxy' : null;
    return why ? { disabled: true, title: why } : {};
}

const nameOf = () => sessionStorage.getItem('davenport-name') ?? '';

async function post(kind, body) {
    const actor = STORE.who?.by === 'token' ? {} : { 'Davenport-Actor': `${nameOf() || 'somebody'}@dashboard` };
    const answer = await fetch(`/${kind}`, {
        method: 'POST',
        headers: { ...credentials(), ...actor, 'Davenport-Admin': '1', 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
    });
    const said = record(await answer.json().catch(() => null));
    if (answer.status === 401) {
        needToken();
    }
    // A rule's refusal is told in full, with what was and would be.
    if (!answer.ok && !('order' in said)) {
        throw new Error(text(said.reason) || `status ${answer.status}`);
    }
    return said;
}

function bodyOf(more) {
    const form = byId('order').querySelector('form');
    const ttl = Number(form.elements.ttl?.value);
    return {
        ...(ASKED.region && { region: ASKED.region }),
        ...(form.elements.reason.value.trim() && { reason: form.elements.reason.value.trim() }),
        ...(ttl > 0 && { ttl_s: ttl }),
        ...(ASKED.force && { force: true }),
        ...more,
    };
}

// Carry out `act`, one at a time, and show what came of it.
async function attempt(act) {
    if (ASKED.busy) {
        return;
    }
    ASKED.busy = true;
    ASKED.trouble = '';
    drawOrder();
    try {
        await act();
    } catch (error) {
        ASKED.trouble = error instanceof TypeError ? 'The proxy did not answer. Whether it took the order is not known: look at the journal.' : error.message;
    }
    ASKED.busy = false;
    drawOrder();
}

const preview = () =>
    attempt(async () => {
        ASKED.preview = null;
        ASKED.preview = await post(ASKED.kind, bodyOf({ dry_run: true }));
    });

const confirmOrder = () =>
    attempt(async () => {
        const said = await post(ASKED.kind, bodyOf({ epoch: ASKED.preview.epoch }));
        if (said.done) {
            ASKED.done = said;
            speak(`Done: ${ORDERS[ASKED.kind].title(ASKED.region)}`);
        } else {
            ASKED.preview = { ...said, stale: said.refused === 'epoch_moved' };
        }
    });

// ---- showing it ----

const roleWord = (region) => (region.drained ? 'drained' : region.held ? 'held' : region.route === 'ok' ? 'may take requests' : text(region.route));

// What stays is left out.
function changesOf({ before, after }) {
    const yes = (value, a, b) => (value ? a : b);
    const rows = [
        ['Traffic', text(before.active) || 'nowhere', text(after.active) || 'nowhere'],
        ['By itself, traffic', yes(before.frozen, 'stays (frozen)', 'moves'), yes(after.frozen, 'stays (frozen)', 'moves')],
        ['Pinned', yes(before.pinned, 'yes', 'no'), yes(after.pinned, 'yes', 'no')],
        ...list(before.regions).map((region, i) => [text(region.name), roleWord(region), roleWord(list(after.regions)[i] ?? {})]),
    ];
    return rows.filter(([, was, is]) => was !== is);
}

const changesList = (order) => {
    const changes = changesOf(order);
    return changes.length ? el('dl.changes', null, changes.map(([what, was, is]) => el('div', null, el('dt', null, what), el('dd', null, was, ' → ', el('b', null, is))))) : el('p', null, 'Nothing changes but its record.');
};

const isStale = () => ASKED.preview && (ASKED.preview.stale || ASKED.preview.epoch !== STORE.status.epoch);

function previewOf() {
    const { preview: said, busy } = ASKED;
    if (!said) {
        return el('p.muted', null, busy ? 'Asking what would happen …' : 'Not rehearsed yet.');
    }
    if (isStale()) {
        return el('div.callout.warn', null, el('p', null, sign('warn'), ' ', el('b', null, 'Something was decided since this rehearsal'), ` (epoch ${said.stale ? said.epoch : STORE.status.epoch}). Nothing was done.`), el('p', null, el('button', { type: 'button', 'data-do': 'order-preview' }, 'Rehearse again')));
    }
    if (said.refused) {
        return el('div.callout.bad', null, el('p', null, sign('bad'), ' ', el('b', null, 'It would be refused'), ` (${text(said.refused)}): ${text(said.reason)}`));
    }
    return el(
        `div.callout.${list(said.overridden).length ? 'warn' : 'set'}`,
        null,
        el('p', null, el('b', null, 'If you confirm:')),
        changesList(said),
        list(said.overridden).length > 0 && el('p', null, sign('warn'), ' ', el('b', null, 'Against the rules'), ` (${said.overridden.join(', ')}): ${text(said.reason)}`),
    );
}

// What is still wanted before it can be confirmed; '': nothing.
function wanting() {
    const form = byId('order').querySelector('form');
    const reasons = [
        [STORE.contact.state !== 'live', 'There is no contact to the proxy.'],
        [ASKED.busy, 'One moment.'],
        [!ASKED.preview, 'It has not been rehearsed.'],
        [isStale(), 'Rehearse it again first.'],
        [ASKED.preview?.refused, 'A rule refuses it.'],
        [!form?.elements.reason.value.trim(), 'A reason is wanted, for the journal.'],
        [STORE.who?.by !== 'token' && !form?.elements.name?.value.trim(), 'Your name is wanted, for the journal.'],
    ];
    return reasons.find(([holds]) => holds)?.[1] ?? '';
}

const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;

function commandOf() {
    const { reason, ttl_s: ttl, force } = bodyOf({});
    return ['davenport', ASKED.kind, ASKED.region, reason && `--reason ${quoted(reason)}`, ttl && `--ttl ${ttl}s`, force && '--force', ASKED.preview && `--epoch ${ASKED.preview.epoch}`].filter(Boolean).join(' ');
}

function drawOrder() {
    const dialog = byId('order');
    if (!dialog.open) {
        return;
    }
    const kind = ORDERS[ASKED.kind];
    if (ASKED.done) {
        const { epoch, kept } = ASKED.done;
        show(
            dialog.querySelector('.outcome'),
            el('div.callout.good', { tabindex: '-1' }, el('p', null, sign('good'), ' ', el('b', null, 'Done'), ` (epoch ${epoch}; ${kept === 'disk' ? 'kept on disk' : kept === 'memory' ? 'in memory: a restart forgets it' : 'not on the disk yet: a restart now would forget it'})`), changesList(ASKED.done)),
        );
    } else {
        show(dialog.querySelector('.outcome'), previewOf());
    }
    const forcible = FORCIBLE.includes(ASKED.preview?.refused) || ASKED.force;
    dialog.querySelector('.force').hidden = !forcible || Boolean(ASKED.done);
    show(dialog.querySelector('.trouble'), ASKED.trouble && el('p.callout.bad', null, sign('bad'), ' ', ASKED.trouble));
    dialog.querySelector('.command').textContent = ASKED.done ? '' : commandOf();
    dialog.querySelector('.fields').hidden = Boolean(ASKED.done);
    const want = ASKED.done ? '' : wanting();
    const confirm = byId('order-confirm');
    confirm.hidden = Boolean(ASKED.done);
    confirm.disabled = Boolean(want);
    confirm.textContent = `${kind.verb}${ASKED.region ? ` ${ASKED.kind === 'switch' ? 'to ' : ''}${ASKED.region}` : ''} now`;
    byId('order-wants').textContent = want;
    byId('order-close').textContent = ASKED.done ? 'Close' : 'Cancel';
}

function openOrder(kindName, region) {
    const kind = ORDERS[kindName];
    Object.assign(ASKED, { kind: kindName, region: region || null, force: false, preview: null, trouble: '', busy: false, done: null });
    const dialog = byId('order');
    const field = (label, input) => el('label.field', null, el('span', null, label), input);
    const form = el(
        'form',
        { method: 'dialog', novalidate: true },
        el('h2', { id: 'order-title' }, kind.title(region)),
        el('p.muted', null, kind.what),
        el('div.outcome', { 'aria-live': 'polite' }),
        el('label.force', { hidden: true }, el('input', { type: 'checkbox', name: 'force' }), ' Do it all the same, against this rule'),
        el(
            'div.fields',
            null,
            field('Reason', el('input', { name: 'reason', type: 'text', maxlength: 160, autocomplete: 'off', required: true })),
            kind.stands && field('For how long', el('select', { name: 'ttl' }, FOR.map(([value, words]) => el('option', { value }, words)))),
            STORE.who?.by !== 'token' && field('Your name', el('input', { name: 'name', type: 'text', maxlength: 40, autocomplete: 'username', value: nameOf() })),
        ),
        el('div.trouble', { role: 'alert' }),
        el(
            'div.actions',
            null,
            el('button.strong', { id: 'order-confirm', type: 'submit', value: 'confirm', 'aria-describedby': 'order-wants' }, kind.verb),
            el('button', { id: 'order-close', type: 'button', 'data-do': 'order-close' }, 'Cancel'),
            el('span.muted', { id: 'order-wants' }),
        ),
        el('p.command.mono', { 'aria-label': 'The same at a terminal' }),
    );
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        if (!ASKED.done && !wanting()) {
            confirmOrder();
        }
    });
    form.addEventListener('input', ({ target }) => {
        if (target.name === 'name') {
            sessionStorage.setItem('davenport-name', target.value.trim());
        }
        if (target.name === 'force' || target.name === 'ttl') {
            ASKED.force = form.elements.force.checked;
            preview();
        }
        drawOrder();
    });
    dialog.replaceChildren(form);
    dialog.showModal();
    form.elements.reason.focus();
    preview();
}
