// CouchDB's own formats: sequence tokens, and the term whose md5 a revision is. Both are Erlang's external term format.
//
// A token is "N-" + base64url of zlib-compressed [{Node, [First, Last], {Seq, Uuid, Node}}, …], one a shard; where an
// endpoint gives no uuid, or nothing was read yet, {Node, [First, Last], Seq}.

import { createHash } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';

const word = (tag, bytes, value) => {
    const out = Buffer.alloc(1 + bytes);
    out[0] = tag;
    out.writeUIntBE(value, 1, bytes);
    return out;
};

const NIL = Buffer.from([106]);
export const atom = (text) => ({ atom: text });
export const tuple = (...parts) => ({ tuple: parts });

// Numbers, strings (binaries), arrays (lists), atoms, tuples.
export function encodeTerm(value) {
    if (typeof value === 'number' && Number.isInteger(value)) {
        if (value >= 0 && value < 256) {
            return Buffer.from([97, value]);
        }
        if (Math.abs(value) < 2 ** 31) {
            const out = Buffer.alloc(5, 98);
            out.writeInt32BE(value, 1);
            return out;
        }
        const bytes = [];
        for (let left = BigInt(Math.abs(value)); left > 0n; left >>= 8n) {
            bytes.push(Number(left & 255n));
        }
        return Buffer.from([110, bytes.length, value < 0 ? 1 : 0, ...bytes]);
    }
    if (typeof value === 'number') {
        const out = Buffer.alloc(9, 70);
        out.writeDoubleBE(value, 1);
        return out;
    }
    if (typeof value === 'string' || Buffer.isBuffer(value)) {
        const bytes = Buffer.from(value);
        return Buffer.concat([word(109, 4, bytes.length), bytes]);
    }
    if (Array.isArray(value)) {
        if (value.length > 0 && value.every((one) => Number.isInteger(one) && one >= 0 && one < 256)) {
            return Buffer.concat([word(107, 2, value.length), Buffer.from(value)]);
        }
        return value.length === 0 ? NIL : Buffer.concat([word(108, 4, value.length), ...value.map(encodeTerm), NIL]);
    }
    if (value.tuple) {
        return Buffer.concat([Buffer.from([104, value.tuple.length]), ...value.tuple.map(encodeTerm)]);
    }
    return Buffer.concat([word(100, 2, Buffer.byteLength(value.atom)), Buffer.from(value.atom)]);
}

function decodeTerm(bytes) {
    let at = 0;
    const take = (count) => {
        if (at + count > bytes.length) {
            throw new Error('a term that ends too early');
        }
        at += count;
        return bytes.subarray(at - count, at);
    };
    const number = (count) => take(count).readUIntBE(0, count);
    const many = (count) => Array.from({ length: count }, one);
    function one() {
        switch (number(1)) {
            case 97:
                return number(1);
            case 98:
                return take(4).readInt32BE(0);
            case 110:
                return [...take(number(1) + 1).subarray(1)].reduceRight((sum, byte) => sum * 256 + byte, 0);
            case 100:
                return atom(take(number(2)).toString());
            case 119:
                return atom(take(number(1)).toString());
            case 109:
                return take(number(4)).toString();
            case 107:
                return [...take(number(2))];
            case 104:
                return tuple(...many(number(1)));
            case 106:
                return [];
            case 108: {
                const list = many(number(4));
                one();
                return list;
            }
            default:
                throw new Error('an unknown term');
        }
    }
    return one();
}

// shards: [{node, range: [first, last], seq, uuid?}]
export function encodeToken(shards) {
    const term = shards.map(({ node, range, seq, uuid }) => tuple(atom(node), range, uuid ? tuple(seq, uuid, atom(node)) : seq));
    const plain = encodeTerm(term);
    const packed = Buffer.concat([word(80, 4, plain.length), deflateSync(plain)]);
    const bytes = Buffer.concat([Buffer.from([131]), packed.length < plain.length ? packed : plain]);
    return `${shards.reduce((sum, { seq }) => sum + seq, 0)}-${bytes.toString('base64url')}`;
}

// The shards of a token, whatever number is before it; null when it is none.
export function decodeToken(token) {
    const [, text] = /^"?(?:\d+-)?([\w-]+={0,2})"?$/.exec(token) ?? [];
    try {
        const bytes = Buffer.from(text, 'base64url');
        if (bytes[0] !== 131) {
            return null;
        }
        const list = decodeTerm(bytes[1] === 80 ? inflateSync(bytes.subarray(6)) : bytes.subarray(1));
        return list.map(({ tuple: [node, range, seq] }) =>
            seq.tuple ? { node: node.atom, range, seq: seq.tuple[0], uuid: seq.tuple[1] } : { node: node.atom, range, seq },
        );
    } catch {
        return null;
    }
}

function ejson(value) {
    if (value === null || typeof value === 'boolean') {
        return atom(String(value));
    }
    if (Array.isArray(value)) {
        return value.map(ejson);
    }
    return typeof value === 'object' ? tuple(Object.entries(value).map(([name, one]) => tuple(name, ejson(one)))) : value;
}

// The revision that CouchDB gives to a body without attachments on this parent ("N-hash" or null).
export function revisionOf(deleted, parent, body) {
    const [start, hash] = parent ? parent.split('-') : ['0', null];
    const old = hash === null ? 0 : Buffer.from(hash, 'hex');
    const term = [atom(String(deleted)), Number(start), old, ejson(body), []];
    const md5 = createHash('md5').update(Buffer.concat([Buffer.from([131]), encodeTerm(term)])).digest('hex');
    return `${Number(start) + 1}-${md5}`;
}
