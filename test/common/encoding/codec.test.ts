import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Codec, codecFor, codecs } from '../../../src/common/encoding/codec.js';

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Anything but a lone surrogate, for which UTF-8 has no form. */
const wellFormedText = fc.string({ unit: 'grapheme' });

describe('the JSON codec', () => {
  test('gives back every JSON value, from text and from bytes', () => {
    // JSON itself has no -0, and the codec refuses __proto__ keys.
    const value = fc
      .jsonValue({ noUnicodeString: false })
      .filter((v) => !JSON.stringify(v).includes('__proto__'));
    fc.assert(
      fc.property(value, (given) => {
        const expected: unknown = JSON.parse(JSON.stringify(given));
        const body = codecs.json.encode(given);
        expect(codecs.json.decode(body)).toEqual(expected);
        expect(codecs.json.decode(Buffer.from(body))).toEqual(expected);
      }),
    );
  });

  test('writes what JSON.stringify writes, nothing added', () => {
    expect(codecs.json.encode({ id: 'A-1', total: 12.5 })).toBe('{"id":"A-1","total":12.5}');
    expect(codecs.json.encode('Hello World!')).toBe('"Hello World!"');
    expect(codecs.json.encode(null)).toBe('null');
  });

  test('refuses values that JSON has no form for', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    for (const value of [undefined, () => {}, Symbol('s'), 5n, circular]) {
      expect(() => codecs.json.encode(value)).toThrow(TypeError);
    }
    expect(() => codecs.json.encode(undefined)).toThrow('undefined');
  });

  test('refuses keys that poison prototypes, at any depth', () => {
    const poison = [
      '{"__proto__":{"admin":true}}',
      '[{"a":[{"__proto__":null}]}]',
      '{"\\u005f_proto__":{"admin":true}}',
      '{"constructor":{"prototype":{"admin":true}}}',
    ];
    for (const body of poison) {
      expect(() => codecs.json.decode(body)).toThrow(SyntaxError);
      expect(() => codecs.json.decode(utf8(body))).toThrow(SyntaxError);
    }
    expect(Object.prototype).not.toHaveProperty('admin');
  });

  test('refuses bytes that are no JSON, no UTF-8, or nothing', () => {
    for (const body of ['', '{', '{"a":1}x', "{'a':1}", 'undefined', 'NaN']) {
      expect(() => codecs.json.decode(body)).toThrow();
      expect(() => codecs.json.decode(utf8(body))).toThrow();
    }
    expect(() => codecs.json.decode(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('3 bytes are not UTF-8');
  });

  test('reads only its own part of a larger buffer', () => {
    const larger = Buffer.from('xx{"a":1}yy');
    expect(codecs.json.decode(larger.subarray(2, 9))).toEqual({ a: 1 });
    expect(codecs.json.decode(new Uint8Array(larger.buffer, larger.byteOffset + 2, 7))).toEqual({ a: 1 });
  });
});

describe('the text codec', () => {
  test('is the text itself, and gives it back from its UTF-8 bytes', () => {
    fc.assert(
      fc.property(wellFormedText, (text) => {
        expect(codecs.text.encode(text)).toBe(text);
        expect(codecs.text.decode(text)).toBe(text);
        expect(codecs.text.decode(utf8(text))).toBe(text);
      }),
    );
  });

  test('keeps a byte order mark and line ends', () => {
    const text = '\uFEFFline\r\nline\0';
    expect(codecs.text.decode(utf8(text))).toBe(text);
  });

  test('takes strings alone', () => {
    for (const value of [5, null, undefined, utf8('text'), new String('text')]) {
      expect(() => codecs.text.encode(value)).toThrow('takes a string');
    }
  });

  test('refuses bytes that are not UTF-8, which replacement characters would hide', () => {
    for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
      expect(() => codecs.text.decode(Uint8Array.from(bytes))).toThrow('are not UTF-8');
    }
  });
});

describe('the bytes codec', () => {
  test('is the bytes themselves', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(codecs.bytes.decode(codecs.bytes.encode(bytes))).toEqual(bytes);
      }),
    );
  });

  test('takes Buffers, which are Uint8Arrays, and nothing else', () => {
    expect(codecs.bytes.encode(Buffer.from('b'))).toEqual(Buffer.from('b'));
    for (const value of ['text', [1, 2], new ArrayBuffer(2), new Uint16Array(2), null, undefined]) {
      expect(() => codecs.bytes.encode(value)).toThrow('takes a Uint8Array');
    }
  });

  test('decodes text to its UTF-8 bytes', () => {
    expect(codecs.bytes.decode('ü')).toEqual(Buffer.from([0xc3, 0xbc]));
  });
});

describe('the codec of a received message', () => {
  const csv: Codec = { contentType: 'text/csv', encode: String, decode: String };

  test('is that of its content type where that is a known one', () => {
    expect(codecFor('application/json', codecs.text)).toBe(codecs.json);
    expect(codecFor('text/plain', codecs.json)).toBe(codecs.text);
    expect(codecFor('application/octet-stream', codecs.json)).toBe(codecs.bytes);
    expect(codecFor('text/plain', csv)).toBe(codecs.text);
  });

  test('does not depend on case or parameters', () => {
    expect(codecFor('Application/JSON; charset=utf-8', codecs.text)).toBe(codecs.json);
    expect(codecFor(' text/plain ;charset="utf-8"', codecs.json)).toBe(codecs.text);
  });

  test("is the queue's own where the message says nothing, or nothing known", () => {
    for (const contentType of ['', 'text/csv', 'application/xml', ';', 'json', '__proto__', 'toString']) {
      expect(codecFor(contentType, csv)).toBe(csv);
    }
  });

  test("is the queue's own for every message where the codec asks for that", () => {
    const gzip: Codec = { ...csv, contentType: 'application/json', ignoresContentType: true };
    expect(codecFor('text/plain', gzip)).toBe(gzip);
    expect(codecFor('application/json', gzip)).toBe(gzip);
  });
});
