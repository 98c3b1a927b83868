import { beforeEach, expect, test } from 'vitest';
import { QueueError } from '../../src/errors.js';
import { Ledger } from './ledger.js';

let ledger: Ledger;
const first = { attempt: 1, redelivered: false, resent: false };

beforeEach(() => {
  ledger = new Ledger();
  for (const id of ['a', 'b', 'c']) ledger.beginSend(id);
  for (const id of ['a', 'b', 'c']) ledger.endSend(id);
});

function handleAll(): void {
  for (const id of ['a', 'b', 'c']) ledger.handle({ id, ...first });
}

test('ledger agree where everything was handled, and copies were marked one way or another', () => {
  handleAll();
  ledger.handle({ id: 'a', ...first, redelivered: true });
  ledger.handle({ id: 'b', ...first, attempt: 2 });
  ledger.handle({ id: 'c', ...first, resent: true });
  expect(ledger.breaches()).toEqual([]);
  expect(ledger).toMatchObject({ begun: 3, handled: 3, duplicates: 3, ahead: 0 });
});

test('a confirmed message that was never handled is a breach, unless it is excused', () => {
  ledger.handle({ id: 'a', ...first });
  expect(ledger.breaches()).toEqual(['2 confirmed and never handled: b, c']);
  expect(ledger.ahead).toBe(2);
  ledger.excuse();
  expect(ledger.breaches()).toEqual([]);
  expect(ledger).toMatchObject({ ahead: 0, excused: 2 });
});

test('a copy without a mark is a breach', () => {
  handleAll();
  ledger.handle({ id: 'b', ...first });
  expect(ledger.breaches()).toEqual(['1 handled more than once without a mark: b']);
});

test('a message that was never sent is a breach', () => {
  handleAll();
  ledger.handle({ id: 'x', ...first });
  expect(ledger.breaches()).toEqual(['1 handled that nobody sent: x']);
});

test('messages reported as not stored must not be handled; those of unknown state may be', () => {
  handleAll();
  for (const id of ['d', 'e']) ledger.beginSend(id);
  ledger.endSend('d', new QueueError('UNCONFIRMED', 'who knows'));
  ledger.endSend('e', new QueueError('TIMEOUT', 'no room'));
  expect(ledger.breaches()).toEqual([]);
  ledger.handle({ id: 'd', ...first });
  ledger.handle({ id: 'e', ...first });
  expect(ledger.breaches()).toEqual(['1 stored, though the error said that nothing was: e']);
});

test('a send that fails for another reason, or never settles, is a breach', () => {
  handleAll();
  for (const id of ['d', 'e']) ledger.beginSend(id);
  ledger.endSend('d', new Error('what is this?'));
  expect(ledger.breaches()).toEqual([
    '1 sends that have not settled: e',
    '1 sends that failed for another reason than may be: d: Error: what is this?',
  ]);
});

test('a dead letter is accounted for as long as it is there, and one that nobody sent is not', () => {
  const ledger = new Ledger();
  ledger.beginSend('a');
  ledger.endSend('a');
  expect(ledger.ahead).toBe(1);
  ledger.deadLettered(['a']);
  expect(ledger.ahead).toBe(0);
  expect(ledger.breaches()).toEqual([]);
  ledger.deadLettered([]);
  expect(ledger.missing).toEqual(['a']);
  ledger.deadLettered(['a', 'z']);
  expect(ledger.breaches()).toEqual(['1 handled that nobody sent: z']);
});
