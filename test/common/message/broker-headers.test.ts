import { expect, test } from 'vitest';
import { BROKER_HEADERS, firstDeath, latestDeath } from '../../../src/common/message/broker-headers.js';

test('the latest death is the first entry of x-death, the first death its last', () => {
  const headers = { 'x-death': [{ queue: 'c' }, { queue: 'b' }, { queue: 'a' }] };
  expect(latestDeath(headers)).toEqual({ queue: 'c' });
  expect(firstDeath(headers)).toEqual({ queue: 'a' });
});

test.each([{}, { 'x-death': [] }, { 'x-death': 'text' }, { 'x-death': ['text'] }, { 'x-death': [[1]] }])(
  'there is no death in %j',
  (headers) => {
    expect(latestDeath(headers)).toBeUndefined();
    expect(firstDeath(headers)).toBeUndefined();
  },
);

test('headers of the broker are recognized by their whole name', () => {
  const names = ['x-death', 'x-first-death-queue', 'x-last-death-reason', 'x-delivery-count', 'CC', 'BCC'];
  expect(names.filter((name) => !BROKER_HEADERS.test(name))).toEqual([]);
  expect(['x-deaths', 'my-x-death', 'x-delivery', 'ACC'].filter((name) => BROKER_HEADERS.test(name))).toEqual(
    [],
  );
});
