import { expect, test } from 'vitest';
import { matchesTopic, topicWords } from '../../../src/common/definitions/topic-pattern.js';

const matches = (pattern: string, key: string) => matchesTopic(topicWords(pattern), topicWords(key));

/** What RabbitMQ 3.10, 4.0 and 4.3 answer. */
test.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.b', 'a.b.c', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a', false],
  ['a.*', 'a.', true],
  ['a.*', 'a.b.c', false],
  ['*', '', false],
  ['*', '.', false],
  ['*.*', '.', true],
  ['#', '', true],
  ['#', 'a.b.c', true],
  ['a.#', 'a', true],
  ['a.#', 'a.b.c', true],
  ['a.#', 'ab', false],
  ['#.*', '.', true],
  ['#.*', '', false],
  ['#.a', 'a', true],
  ['#.a', 'b.a.c.a', true],
  ['#.a', 'b.a.c', false],
  ['#.a.#', 'b.a.c', true],
  ['#.#', '', true],
  ['*.#.*', 'a', false],
  ['*.#.*', 'a.b', true],
  ['#.a.b.#.c', 'a.a.b.b.c.c', true],
  ['', '', true],
  ['', '.', false],
  ['', 'a', false],
  ['a*', 'ab', false],
  ['a*', 'a*', true],
  ['a#', 'a', false],
  ['**', 'a', false],
  ['**', '**', true],
  ['*', '*', true],
  ['a', '*', false],
  ['a', '#', false],
  ['ä.*', 'ä.ö', true],
])('%j matches %j: %j', (pattern, key, expected) => {
  expect(matches(pattern, key)).toBe(expected);
});

test('many wildcards in a long key end in no time', () => {
  expect(matches(`${'#.a.'.repeat(50)}b`, 'a.'.repeat(120))).toBe(false);
});
