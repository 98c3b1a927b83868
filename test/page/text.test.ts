import { describe, expect, test } from 'vitest';
import { age, number, sinceText, sparkPath } from '../../src/page/html/format.js';
import { html } from '../../src/page/html/html.js';
import { Links, nameOf } from '../../src/page/html/links.js';
import { bodyText, indent } from '../../src/page/messages/body-text.js';
import { fold, groupsOf, summaryOf } from '../../src/page/messages/error-groups.js';
import { json } from '../../src/page/views/view.js';

describe('text of strangers in HTML', () => {
  test('is escaped, wherever it is put', () => {
    const text = `<b a="1" b='2'>&`;
    expect(html`<i title="${text}">${text}</i>`.text).toBe(
      '<i title="&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;">&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;</i>',
    );
    expect(html`${[html`<b></b>`, '<b>', undefined, false, 0]}`.text).toBe('<b></b>&lt;b&gt;0');
  });

  test('can neither be reversed nor hidden', () => {
    expect(html`${'a\u202eb\u0007\u200b'}`.text).toBe('a\\u202eb\\x07\\u200b');
  });

  test('is unchanged as JSON in an attribute', () => {
    const value = { queue: 'a\u202eb\u0007 "<é>' };
    const written = html`${json(value)}`.text
      .replaceAll('&quot;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>');
    expect(JSON.parse(written)).toEqual(value);
  });
});

test.each(['orders', 'a/b', '..', '.', '', '~', '~..', '%2e', 'a?b#c', 'ü "x"', 'a b'])(
  'a queue called %j has an address of its own',
  (name) => {
    const url = new URL(new Links('/base').queue(name, { tab: 'ready' }), 'http://localhost');
    expect(url.search).toBe('?tab=ready');
    expect(url.pathname).toMatch(/^\/base\/q\/[^/]+$/);
    expect(nameOf(url.pathname.replace('/base/q/', ''))).toBe(name);
  },
);

test.each([
  ["no answer within 3000 ms from 'db-1'", "no answer within 3001 ms from 'db-22'"],
  ['user 6e1419c1-6697-413c-9af2-fefb1d86b7e0 is gone', 'user 6a466e4d-b91d-4139-9593-bfa98e9b8fc1 is gone'],
  ['connect ECONNREFUSED 10.0.3.1:443', 'connect ECONNREFUSED 10.0.3.27:8443'],
  ['bad order "A-1"', 'bad order "B"'],
  ['first line\nstack 1', 'first line\nstack 2'],
])('%j and %j count as the same error', (one, other) => {
  expect(fold(one)).toBe(fold(other));
});

test.each([
  ['no such customer', 'no such order'],
  ["can't connect, won't retry", "can't connect, but won't give up"],
])('%j and %j do not', (one, other) => {
  expect(fold(one)).not.toBe(fold(other));
});

test.each(['x'.repeat(1000), '1.'.repeat(500), "'".repeat(1000), `${'a-'.repeat(499)}!1`, '1a:'.repeat(333)])(
  'errors made to be slow, such as %.12j…, are folded as fast as others',
  (error) => {
    for (let n = 0; n < 2000; n++) fold(`${error}${n}`);
  },
);

test('four thousand time-outs are one group, with its first and last time', () => {
  const summaries = Array.from({ length: 4000 }, (_, n) =>
    summaryOf(
      {
        id: `m-${n}`,
        queue: 'orders',
        reason: 'failed',
        error: `no answer within ${n} ms`,
        firstError: '',
        attempts: 1,
        failures: [],
        stack: undefined,
        deadAt: new Date(1_700_000_000_000 + n).toISOString(),
        message: { id: `m-${n}`, contentType: '', headers: {}, body: '' },
      },
      0,
    ),
  );
  expect(groupsOf(summaries)).toEqual([
    expect.objectContaining({ count: 4000, first: 1_700_000_000_000, last: 1_700_000_003_999 }),
  ]);
});

describe('bodies', () => {
  test('JSON is indented, and keeps each digit, escape and repeated name', () => {
    const text =
      '{"a":12345678901234567890,"a":1.50,"s":"{\\"x\\": [1, 2]}","e":[],"o":{},"l":[1,{"b":null}]}';
    const pretty = indent(text);
    expect(pretty.replaceAll(/\n\s*/g, '').replaceAll(': ', ':').replaceAll('"x\\":[', '"x\\": [')).toBe(
      text,
    );
    expect(pretty).toContain('  "a": 12345678901234567890,\n');
    expect(bodyText(text, true).kind).toBe('JSON');
  });

  test('JSON that only nests is no longer than it was, but for its first levels', () => {
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    const { kind, text } = bodyText(deep, true);
    expect(kind).toBe('JSON');
    expect(text.replaceAll(/\s/g, '')).toBe(deep);
    expect(text.length).toBeLessThan(deep.length + 2000);
    expect(indent('[[],{},[1,{"a":[]}]]').split('\n')).toEqual([
      '[',
      '  [],',
      '  {},',
      '  [',
      '    1,',
      '    {',
      '      "a": []',
      '    }',
      '  ]',
      ']',
    ]);
  });

  test('what was cut, or is no JSON, is shown as it is; bytes as a hex dump', () => {
    expect(bodyText('{"a": [1, 2', false)).toEqual({ kind: 'text', text: '{"a": [1, 2' });
    expect(bodyText('{"a": [1, 2', true)).toEqual({ kind: 'text', text: '{"a": [1, 2' });
    const { kind, text } = bodyText(Uint8Array.from([0, 255, 65]), true);
    expect([kind, text.replaceAll(/ +/g, ' ')]).toEqual(['bytes', '000000 00 ff 41 ..A']);
  });
});

test('figures', () => {
  expect([number(9999), number(12_345), number(1_234_567), number(undefined)]).toEqual([
    '9999',
    '12\u2009345',
    '1\u2009234\u2009567',
    '–',
  ]);
  expect([age(0), age(500), age(61_000), age(7_200_000), age(undefined)]).toEqual([
    '0 s',
    '< 1 s',
    '1 min',
    '2 h',
    '–',
  ]);
  expect(sinceText(61_000, 60_000)).toBe('since 1970-01-01 00:00:01 UTC');
  expect(sinceText(0, 1e17)).toBeUndefined();
  expect(sparkPath([Number.NaN, 0, 10])).toBe('M50,23 100,1');
  // Broken where nothing was read for long.
  const gap = Array.from({ length: 7 }, () => Number.NaN);
  expect(sparkPath([1, Number.NaN, 1, ...gap, 1])).toBe('M0,1 20,1M100,1');
});

test('bytes that were cut within a character are text, others are not', () => {
  const bytes = Buffer.from('a🦀');
  expect(bodyText(bytes.subarray(0, 4), false)).toEqual({ kind: 'text', text: 'a' });
  expect(bodyText(bytes.subarray(0, 4), true).kind).toBe('bytes');
  expect(bodyText(Uint8Array.of(0xff, 0x41, 0x42, 0x43, 0x44), false).kind).toBe('bytes');
});
