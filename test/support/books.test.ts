import { beforeEach, expect, test } from 'vitest';
import { QueueError } from '../../src/errors.js';
import { Books } from './books.js';

let books: Books;
const first = { attempt: 1, redelivered: false, resent: false };

beforeEach(() => {
  books = new Books();
  for (const id of ['a', 'b', 'c']) books.beginSend(id);
  for (const id of ['a', 'b', 'c']) books.endSend(id);
});

function handleAll(): void {
  for (const id of ['a', 'b', 'c']) books.handle({ id, ...first });
}

test('books agree where everything was handled, and copies were marked one way or another', () => {
  handleAll();
  books.handle({ id: 'a', ...first, redelivered: true });
  books.handle({ id: 'b', ...first, attempt: 2 });
  books.handle({ id: 'c', ...first, resent: true });
  expect(books.breaches()).toEqual([]);
  expect(books).toMatchObject({ begun: 3, handled: 3, duplicates: 3, ahead: 0 });
});

test('a confirmed message that was never handled is a breach, unless it is excused', () => {
  books.handle({ id: 'a', ...first });
  expect(books.breaches()).toEqual(['2 confirmed and never handled: b, c']);
  expect(books.ahead).toBe(2);
  books.excuse();
  expect(books.breaches()).toEqual([]);
  expect(books).toMatchObject({ ahead: 0, excused: 2 });
});

test('a copy without a mark is a breach', () => {
  handleAll();
  books.handle({ id: 'b', ...first });
  expect(books.breaches()).toEqual(['1 handled more than once without a mark: b']);
});

test('a message that nobody sent is a breach', () => {
  handleAll();
  books.handle({ id: 'x', ...first });
  expect(books.breaches()).toEqual(['1 handled that nobody sent: x']);
});

test('what was said not to be stored must not be handled; what is not known may be', () => {
  handleAll();
  for (const id of ['d', 'e']) books.beginSend(id);
  books.endSend('d', new QueueError('UNCONFIRMED', 'who knows'));
  books.endSend('e', new QueueError('TIMEOUT', 'no room'));
  expect(books.breaches()).toEqual([]);
  books.handle({ id: 'd', ...first });
  books.handle({ id: 'e', ...first });
  expect(books.breaches()).toEqual(['1 handled, though the error said that nothing was stored: e']);
});

test('a send that fails for another reason, or never settles, is a breach', () => {
  handleAll();
  for (const id of ['d', 'e']) books.beginSend(id);
  books.endSend('d', new Error('what is this?'));
  expect(books.breaches()).toEqual([
    '1 sends that have not settled: e',
    '1 sends that failed for another reason than may be: d: Error: what is this?',
  ]);
});
