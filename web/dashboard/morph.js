// Bring what is on the page to what was just made, changing only what differs: focus, what is unfolded, what is selected and
// where it is scrolled to stay. Children with data-key are told apart by it, others by their place.

// What the reader did to an element is the reader's. Styles are set through the object model, for the page's policy forbids them as attributes.
const OWN = { DETAILS: ['open', 'style'] };

function morphAttributes(live, made) {
    const kept = OWN[live.nodeName] ?? ['style'];
    for (const { name } of [...live.attributes]) {
        if (!made.hasAttribute(name) && !kept.includes(name)) {
            live.removeAttribute(name);
        }
    }
    for (const { name, value } of made.attributes) {
        if (live.getAttribute(name) !== value && !kept.includes(name)) {
            live.setAttribute(name, value);
        }
    }
    if (made.style && live.style.cssText !== made.style.cssText) {
        live.style.cssText = made.style.cssText;
    }
}

function morph(live, made) {
    if (live.nodeType === Node.TEXT_NODE) {
        if (live.data !== made.data) {
            live.data = made.data;
        }
        return;
    }
    morphAttributes(live, made);
    morphChildren(live, [...made.childNodes]);
}

// The children of `live` become those of `made`, a list of nodes.
function morphChildren(live, made) {
    const keyed = new Map([...live.children].filter((one) => one.dataset.key).map((one) => [one.dataset.key, one]));
    const alike = (a, b) => a.nodeName === b.nodeName && a.dataset?.key === b.dataset?.key;
    let at = live.firstChild;
    for (const next of made) {
        const mate = next.dataset?.key ? keyed.get(next.dataset.key) : at;
        if (mate && alike(mate, next)) {
            if (mate === at) {
                at = at.nextSibling;
            } else {
                live.insertBefore(mate, at);
            }
            morph(mate, next);
        } else {
            live.insertBefore(next, at);
        }
    }
    while (at) {
        const after = at.nextSibling;
        at.remove();
        at = after;
    }
}

const show = (host, ...children) => morphChildren(host, [...put(el('div'), ...children).childNodes]);
