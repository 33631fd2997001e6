// Charts over one time axis, in the page's colours: uPlot with its lines, and what belongs behind and in front of them.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The page's --axis: what is left of every plot, so that all of them and what stands above them begin at one place. --air: on its right.
const px = (name) => Number.parseFloat(colour(name)) || 0;

// A strong colour as a large area bears it: nearer to the page's own.
function calm(name) {
    const channels = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
    const page = channels(colour('--page'));
    return `rgb(${channels(colour(name)).map((value, i) => Math.round(0.82 * value + 0.18 * page[i]))})`;
}

// Everything that is drawn, to draw it again when the colours change.
const drawn = new Set();

// Behind the lines: stretches of time, [{from, to}], tinted and hatched, so that they are seen without colours too.
function drawBands(u, bands) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    for (const { from, to } of bands) {
        const x0 = u.valToPos(from, 'x', true);
        const x1 = Math.max(u.valToPos(to, 'x', true), x0 + 2);
        ctx.fillStyle = colour('--band');
        ctx.fillRect(x0, top, x1 - x0, height);
        ctx.save();
        ctx.beginPath();
        ctx.rect(x0, top, x1 - x0, height);
        ctx.clip();
        ctx.strokeStyle = colour('--band-line');
        ctx.lineWidth = 1;
        ctx.beginPath();
        for (let x = x0 - height - ((x0 - height) % 16); x < x1; x += 16) {
            ctx.moveTo(x, top + height);
            ctx.lineTo(x + height, top);
        }
        ctx.stroke();
        ctx.restore();
    }
    ctx.restore();
}

// In front: moments, [seconds].
function drawMarks(u, marks) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.strokeStyle = colour('--ink');
    ctx.lineWidth = 2;
    ctx.setLineDash([2, 5]);
    for (const at of marks) {
        const x = Math.round(u.valToPos(at, 'x', true));
        if (x >= left && x <= left + width) {
            ctx.beginPath();
            ctx.moveTo(x, top);
            ctx.lineTo(x, top + height);
            ctx.stroke();
        }
    }
    ctx.restore();
}

// A level that is not to be passed, with its words, where it is within the plot.
function drawLimit(u, { value, words }) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const y = Math.round(u.valToPos(value, 'y', true));
    if (!(y > top && y < top + height)) {
        return;
    }
    ctx.save();
    ctx.strokeStyle = colour('--bad');
    ctx.fillStyle = colour('--bad');
    ctx.lineWidth = 2;
    ctx.setLineDash([8, 6]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.font = `${11 * uPlot.pxRatio}px ${colour('--sans')}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'bottom';
    // On a rim of the page's colour, for a line may run there.
    ctx.setLineDash([]);
    ctx.lineJoin = 'round';
    ctx.lineWidth = 8;
    ctx.strokeStyle = colour('--page');
    ctx.strokeText(words, left + width - 6, y - 5);
    ctx.fillText(words, left + width - 6, y - 5);
    ctx.restore();
}

// Columns from the ground up, a stretch wide; one that is there at all is tall enough to be seen.
function drawColumns(u, series, name) {
    const { ctx } = u;
    const { top, height } = u.bbox;
    const ground = top + height;
    ctx.save();
    ctx.fillStyle = colour(name);
    u.data[series].forEach((value, i) => {
        if (value > 0) {
            const x0 = u.valToPos(u.data[0][i], 'x', true);
            const x1 = u.valToPos(u.data[0][i + 1] ?? u.data[0][i] + 1, 'x', true);
            const tall = Math.max(ground - u.valToPos(value, 'y', true), 10);
            ctx.fillRect(x0, ground - tall, Math.max(x1 - x0 - (x1 - x0 > 8 ? 2 : 0), 3), tall);
        }
    });
    ctx.restore();
}

// Answers that name no region, or one past those that are told apart, have none.
const NO_REGION = ['', 'others'];

function regionColour(regions, name) {
    const i = regions.filter((one) => !NO_REGION.includes(one)).indexOf(name);
    return i >= 0 && i < 6 ? `--r${i}` : '--r-none';
}

// On a screen a chart is as wide as its place; on paper as wide as a page of either format has room for, and lower, so that
// all of them go on one.
const PAPER_PX = 690;
const PAPER_HEIGHT = 0.66;

// Seconds between two labels of the time axis.
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600];

// host: where it goes. seconds: the x values, each the begin of a stretch; the last one is `step` long. rows: [{values, colour, width, fill, calm,
// dash}]; calm: a large area in it. y: {range, splits, values, log}. domain: [from, to]. Also bands, marks, limit, columns: [{row, colour}], time:
// with the axis. `moved(i)` is told the stretch under the pointer, null when it has left.
function chart(host, { seconds, rows, y, domain, height, bands, marks, limit, columns = [], time, timeText, moved, step = 1 }) {
    // A stretch lasts until the next one begins: one more point ends the last one.
    const dataOf = (values) => [[...seconds, (seconds.at(-1) ?? 0) + step], ...values.map((row) => [...row, row.at(-1) ?? null])];
    const axis = { stroke: () => colour('--muted'), font: `11px ${colour('--sans')}`, ticks: { show: false }, gap: 6 };
    const grid = { stroke: () => colour('--line'), width: 1 };
    const secondAt = (left) => {
        const at = u.posToVal(left, 'x');
        const i = seconds.findLastIndex((begin) => begin <= at);
        return seconds.length === 0 ? null : Math.max(i, 0);
    };
    const u = new uPlot(
        {
            width: Math.max(host.clientWidth, 160),
            height,
            padding: [8, () => px('--air'), time ? 0 : 8, 0],
            legend: { show: false },
            cursor: {
                y: false,
                drag: { x: false, y: false },
                points: { show: false },
            },
            scales: { x: { time: false, range: () => domain }, y: { distr: y.log ? 3 : 1, range: (...asked) => y.range(...asked) } },
            axes: [
                { ...axis, show: Boolean(time), grid: { ...grid, show: false }, size: 28, space: 64, incrs: STEPS_S, values: (self, at) => at.map(timeText) },
                { ...axis, grid, size: () => px('--axis'), splits: y.splits && ((...asked) => y.splits(...asked)), values: (...asked) => y.values(...asked), space: 28, filter: (self, at) => at },
            ],
            series: [
                {},
                ...rows.map((row, i) => ({
                    stroke: () => colour(row.colour),
                    fill: row.fill && (() => (row.calm ? calm(row.fill) : colour(row.fill))),
                    width: row.width ?? 1.5,
                    dash: row.dash,
                    points: { show: false },
                    paths: columns.some((column) => column.row === i) ? () => null : uPlot.paths.stepped({ align: 1 }),
                })),
            ],
            hooks: {
                drawClear: [(self) => drawBands(self, bands)],
                draw: [
                    (self) => {
                        columns.forEach((column) => drawColumns(self, column.row + 1, column.colour));
                        if (limit) {
                            drawLimit(self, limit);
                        }
                        drawMarks(self, marks);
                    },
                ],
                // By the pointer only: one chart's is shown in all.
                setCursor: [({ cursor }) => cursor.event && moved?.(cursor.left >= 0 ? secondAt(cursor.left) : null)],
            },
        },
        dataOf(rows.map(({ values }) => values)),
        host,
    );
    const one = {
        // Show the stretch with this number, or none.
        point(i) {
            u.setCursor(i === null ? { left: -10, top: -10 } : { left: u.valToPos(seconds[i] + step / 2, 'x'), top: 10 }, false);
        },
        // The same rows, later. values: of each row. Its y is of the same kind.
        update(next) {
            ({ seconds, domain, bands, marks, y } = next);
            u.setData(dataOf(next.values));
        },
        drop() {
            drawn.delete(one);
            u.destroy();
        },
        fit() {
            const paper = document.documentElement.dataset.paper !== undefined;
            u.setSize({ width: paper ? PAPER_PX : Math.max(host.clientWidth, 160), height: paper ? Math.round(height * PAPER_HEIGHT) : height });
        },
        redraw() {
            u.redraw();
        },
    };
    drawn.add(one);
    return one;
}

// The legend is the chart's heading as well: names, and figures of the stretch that is pointed at, or of all.
function figure(host, title, entries) {
    const values = entries.map(({ all }) => el('b', null, all ?? ''));
    const legend = el(
        'ul.legend',
        null,
        entries.map(({ name, colour: c, shape }, i) => {
            const swatch = el(`i.${shape ?? 'box'}`, { 'aria-hidden': 'true' });
            swatch.style.setProperty('--c', `var(${c})`);
            return el('li', null, swatch, name, ' ', values[i]);
        }),
    );
    const plot = el('div.plot', { 'aria-hidden': 'true' });
    host.append(el('figure.chart', null, el('figcaption', null, el('h3', null, title), legend), plot));
    return {
        plot,
        say(i) {
            entries.forEach((entry, row) => (values[row].textContent = (i === null ? entry.all : entry.at(i)) ?? ''));
        },
    };
}

const decade = (value, up) => 10 ** (up ? Math.ceil(Math.log10(value)) : Math.floor(Math.log10(value)));

// Milliseconds in powers of ten, two at least.
function millisecondScale(all) {
    const values = all.filter((value) => value > 0);
    const low = decade(values.reduce((a, b) => Math.min(a, b), values.length ? 1e9 : 1), false);
    const high = Math.max(decade(values.reduce((a, b) => Math.max(a, b), 1), true), low * 100);
    const splits = [];
    for (let value = low; value <= high * 1.01; value *= 10) {
        splits.push(value);
    }
    const y = {
        log: true,
        range: () => [low, high],
        splits: () => splits,
        values: (u, at) => at.map((value) => (value >= 1000 ? `${value / 1000} s` : `${Number(value.toPrecision(1))} ms`)),
    };
    return { low, high, y };
}

function watchCharts() {
    const fit = () => drawn.forEach((one) => one.fit());
    const again = () => drawn.forEach((one) => one.redraw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
    new ResizeObserver(() => document.documentElement.dataset.paper === undefined && fit()).observe(document.body);
    addEventListener('beforeprint', () => {
        document.documentElement.dataset.paper = '';
        fit();
        again();
    });
    addEventListener('afterprint', () => {
        delete document.documentElement.dataset.paper;
        fit();
        again();
    });
}
