// The bytes that cases are made of. {origin} stands for the region's host and port.

export const HOST = 'Host: h\r\n';
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
export const AFTER = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter';
export const CANARY = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary';

export const get = (fields = '', target = '/a', version = 'HTTP/1.1') => `GET ${target} ${version}\r\n${HOST}${fields}\r\n`;
export const put = (fields = '', body = '', version = 'HTTP/1.1') => `PUT /a ${version}\r\n${HOST}${fields}\r\n${body}`;
export const TE = 'Transfer-Encoding: chunked\r\n';
export const chunked = (body, fields = '') => put(`${TE}${fields}`, body);

// The request as a region must see it.
export function forwarded(line, { fields = '', framing = '', body = '', host = 'h', via = '1.1', xff = '127.0.0.1' } = {}) {
    const authority = host === null ? '' : `X-Forwarded-Host: ${host}\r\n`;
    return `${line} HTTP/1.1\r\nHost: {origin}\r\n${fields}${framing}X-Forwarded-For: ${xff}\r\n${authority}X-Forwarded-Proto: http\r\nVia: ${via} davenport\r\n\r\n${body}`;
}

// A request that must be answered with this status and nothing else, and of which no region sees a byte.
export const refuse = (status, name, rfc, client, more = {}) => ({ name, rfc, client, expect: { refused: status, seen: [], ...more } });

// A request that is answered, exactly as `seen` at the region.
export const accept = (name, rfc, client, seen, more = {}) => ({ name, rfc, client, expect: { seen: [seen].flat(), ...more } });

// An answer of a region, and what the client must see of it. GET unless said otherwise.
export const answer = (name, rfc, origin, client_bytes, more = {}, client = get()) => ({
    name,
    rfc,
    client,
    origin: [origin].flat(),
    expect: { answer: client_bytes, ...more },
});

// An answer of a region that no client may see: 503, and the connection to the region is closed.
export const distrust = (name, rfc, origin, more = {}, client = get()) => ({
    name,
    rfc,
    client,
    origin: [origin].flat(),
    expect: { status: 503, origin_kept: false, ...more },
});

export const printable = (byte) => `0x${byte.toString(16).padStart(2, '0')}`;
