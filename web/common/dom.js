// Elements and numbers. What is shown is always set as text, never as markup.

// el('td.n', {title}, ...children): a child is a node, text, or nothing.
function el(what, attributes, ...children) {
    const [tag, ...classes] = what.split('.');
    const node = document.createElement(tag || 'div');
    if (classes.length) {
        node.className = classes.join(' ');
    }
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value !== null && value !== undefined && value !== false) {
            node.setAttribute(name, value === true ? '' : value);
        }
    }
    put(node, ...children);
    return node;
}

function put(node, ...children) {
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== false) {
            node.append(child);
        }
    }
    return node;
}

const byId = (id) => document.getElementById(id);

// A table of rows of cells; a cell is a child, or a td or th that is there already. Columns that begin with '#' are numbers.
// stacked: on a phone a row's cells stand one below the other, which would make it no table without the roles; data-label says which each is.
function table(columns, rows, caption, stacked = false) {
    const numeric = columns.map((column) => column.startsWith('#'));
    const cell = (value, i) => (value instanceof HTMLTableCellElement ? value : el(numeric[i] ? 'td.n' : 'td', null, value));
    const made = el(
        'div.scroll',
        { tabindex: '0', role: 'region', 'aria-label': caption },
        el(
            stacked ? 'table.stacked' : 'table',
            null,
            el('thead', null, el('tr', null, columns.map((column, i) => el(numeric[i] ? 'th.n' : 'th', { scope: 'col' }, column.replace(/^#/, ''))))),
            el('tbody', null, rows.map((row) => el('tr', null, row.map(cell)))),
        ),
    );
    if (stacked) {
        const roles = { TABLE: 'table', THEAD: 'rowgroup', TBODY: 'rowgroup', TR: 'row', TD: 'cell', TH: 'columnheader' };
        made.querySelectorAll('*').forEach((node) => roles[node.tagName] && node.setAttribute('role', roles[node.tagName]));
        made.querySelectorAll('td').forEach((node) => (node.dataset.label = columns[node.cellIndex].replace(/^#/, '')));
    }
    return made;
}

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
const list = (value) => (Array.isArray(value) ? value : []);
const record = (value) => (value && typeof value === 'object' && !Array.isArray(value) ? value : {});
const text = (value) => (value === null || value === undefined ? '' : String(value));

const THIN = '\u202f'; // a narrow space that does not break
const NO = '–';

function count(value) {
    return isNumber(value) ? Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, THIN) : NO;
}

// 0.43 ms, 3.4 ms, 331 ms, 2.87 s
function ms(value) {
    if (!isNumber(value)) {
        return NO;
    }
    if (value >= 10000) {
        return `${(value / 1000).toFixed(1)} s`;
    }
    if (value >= 1000) {
        return `${(value / 1000).toFixed(2)} s`;
    }
    return `${value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)} ms`;
}

// A stretch of time: 0.31 s, 20 s, 3 min 20 s
function span(seconds) {
    if (!isNumber(seconds)) {
        return NO;
    }
    if (seconds < 1) {
        return `${Math.round(seconds * 1000)} ms`;
    }
    if (seconds < 120) {
        return `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s`;
    }
    const whole = Math.round(seconds);
    return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
}

const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

// 43 %, 99.46 %, 0.54 %: near the ends a digit more or two tell what is not all and not nothing.
function percent(part, all) {
    if (!(all > 0)) {
        return NO;
    }
    const value = (100 * part) / all;
    const near = Math.min(value, 100 - value);
    return `${value.toFixed(near <= 0 || near >= 10 ? 0 : near >= 1 ? 1 : 2)} %`;
}
