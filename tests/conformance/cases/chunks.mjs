// The chunked coding of requests: sizes, extensions, data, trailers that are refused (trailers.mjs has the others).

import { accept, chunked, forwarded, TE } from '../bytes.mjs';

// The head is good and the region may have been asked already; what follows is refused, and no region takes what
// it got for a whole request.
const bad = (name, body, rfc = '9112 7.1', status = 400) => ({
    name: `chunks: ${name}`,
    rfc,
    client: chunked(body),
    expect: { refused: status, seen_whole: 0 },
});
const good = (name, body, decoded, rfc = '9112 7.1', more = {}) =>
    accept(`chunks: ${name}`, rfc, chunked(body), forwarded('PUT /a', { framing: TE, body: `${decoded.length.toString(16)}\r\n${decoded}\r\n0\r\n\r\n` }), more);

const END = '\r\n0\r\n\r\n';

export const CASES = [
    good('two of them', '1\r\n{\r\n1\r\n}\r\n0\r\n\r\n', '{}', '9112 7.1', { origin_kept: true }),
    good('size in capitals', `A\r\n0123456789${END}`, '0123456789'),
    good('size with leading zeros', `0002\r\n{}${END}`, '{}'),
    good('size of sixteen digits', `0000000000000002\r\n{}${END}`, '{}'),
    good('last chunk of several zeros', '2\r\n{}\r\n0000\r\n\r\n', '{}'),
    good('extension, dropped', `2;a=b\r\n{}${END}`, '{}', '9112 7.1.1'),
    good('extension without a value, dropped', `2;a\r\n{}${END}`, '{}', '9112 7.1.1'),
    good('extension in quotes, dropped', `2;a="b;c\\"d"\r\n{}${END}`, '{}', '9112 7.1.1'),
    good('several extensions with spaces, dropped', `2; a = b ;c\r\n{}${END}`, '{}', '9112 7.1.1'),
    good('extension of the last chunk, dropped', '2\r\n{}\r\n0;a=b\r\n\r\n', '{}', '9112 7.1.1'),
    good('empty extension, dropped', `2;\r\n{}${END}`, '{}', '9112 7.1.1'),
    good('data that looks like chunks', `e\r\n0\r\n\r\n5\r\nhello\r\n${END.slice(2)}`.replace('hello\r\n0', 'hell\r\n\r\n0'), '0\r\n\r\n5\r\nhell\r\n', '9112 7.1'),
    good('data with bare line ends and NUL', `6\r\n\r\n\n\r\x00\xff${END}`, '\r\n\n\r\x00\xff'),

    bad('size absent', `\r\n{}${END}`),
    bad('size that is none', `zz\r\n{}${END}`),
    bad('size with 0x', `0x2\r\n{}${END}`),
    bad('size negative', `-2\r\n{}${END}`),
    bad('size minus zero', '-0\r\n\r\n'),
    bad('size with a plus', `+2\r\n{}${END}`),
    bad('size with a space before', ` 2\r\n{}${END}`),
    bad('size with a space behind', `2 \r\n{}${END}`),
    bad('size with a tab behind', `2\t\r\n{}${END}`),
    bad('size with a space before the extension', `2 ;a=b\r\n{}${END}`, '9112 7.1.1'),
    bad('size with an underscore', `1_0\r\n0123456789abcdef${END}`),
    bad('size with a fraction', `2.0\r\n{}${END}`),
    bad('size with a comma', `2,2\r\n{}${END}`),
    bad('size with a vertical tab', `2\x0b\r\n{}${END}`),
    bad('size with a NUL', `2\x00\r\n{}${END}`),
    bad('size with obs-text', `2\xa0\r\n{}${END}`),
    bad('size of seventeen digits', `10000000000000000\r\n{}${END}`),
    bad('size past all numbers', `fffffffffffffffff\r\n{}${END}`),
    bad('size of seventeen zeros and a digit', `000000000000000002\r\n{}${END}`),
    bad('bare LF behind the size', `2\n{}${END}`, '9112 2.2'),
    bad('bare CR behind the size', `2\r{}${END}`, '9112 2.2'),
    bad('CR CR LF behind the size', `2\r\r\n{}${END}`, '9112 2.2'),
    bad('bare LF in an extension', `2;a\n=b\r\n{}${END}`, '9112 7.1.1'),
    bad('bare CR in an extension', `2;a\rb\r\n{}${END}`, '9112 7.1.1'),
    bad('bare LF at the end of an extension', `2;\n{}${END}`, '9112 7.1.1'),
    bad('NUL in an extension', `2;a\x00\r\n{}${END}`, '9112 7.1.1'),
    bad('control byte in an extension', `2;a\x1b\r\n{}${END}`, '9112 7.1.1'),
    bad('extensions without end', `2;${'a'.repeat(20_000)}\r\n{}${END}`, '9112 7.1.1'),
    bad('more extension than payload, again and again', `1;${'a'.repeat(200)}\r\n{\r\n`.repeat(120), '9112 7.1.1'),
    bad('data longer than its size', `2\r\n{}}${END}`),
    bad('data shorter than its size', `3\r\n{}${END}`),
    bad('bare LF behind the data', '2\r\n{}\n0\r\n\r\n', '9112 2.2'),
    bad('bare CR behind the data', '2\r\n{}\r0\r\n\r\n', '9112 2.2'),
    bad('no line end behind the data', '2\r\n{}0\r\n\r\n'),
    bad('bare LF behind the last chunk', '2\r\n{}\r\n0\n\r\n', '9112 2.2'),
    bad('bare LF at the very end', '2\r\n{}\r\n0\r\n\n', '9112 2.2'),
    bad('bare CR at the very end', '2\r\n{}\r\n0\r\n\r\r\n', '9112 2.2'),
    bad('trailer without a colon', '2\r\n{}\r\n0\r\nX\r\n\r\n', '9112 7.1.2'),
    bad('trailer without a name', '2\r\n{}\r\n0\r\n: 1\r\n\r\n', '9112 7.1.2'),
    bad('trailer with a space before the colon', '2\r\n{}\r\n0\r\nX : 1\r\n\r\n', '9112 7.1.2'),
    bad('trailer that is folded', '2\r\n{}\r\n0\r\nX: 1\r\n 2\r\n\r\n', '9112 7.1.2'),
    bad('trailer with a bare LF', '2\r\n{}\r\n0\r\nX: 1\n\r\n', '9112 7.1.2'),
    bad('trailer with a bare CR', '2\r\n{}\r\n0\r\nX: a\rb\r\n\r\n', '9112 7.1.2'),
    bad('trailer with a NUL', '2\r\n{}\r\n0\r\nX: a\x00b\r\n\r\n', '9112 7.1.2'),
    bad('trailer that is a request', '2\r\n{}\r\n0\r\nGET /b HTTP/1.1\r\n\r\n', '9112 7.1.2'),
    { ...bad('trailers past the limit of a head', `2\r\n{}\r\n0\r\n${'X: 1234567890\r\n'.repeat(400)}\r\n`, '9112 7.1.2', 431), whole: true },
].map((kase) => (kase.client.length > 5_000 ? { ...kase, whole: true } : kase));
