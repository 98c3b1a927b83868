import { expect, test } from 'vitest';
import { count } from '../../../src/common/reporting/count.js';

test('one thing is in the singular, any other number of them in the plural', () => {
  expect([0, 1, 2].map((number) => count(number, 'dead letter'))).toEqual([
    '0 dead letters',
    '1 dead letter',
    '2 dead letters',
  ]);
  expect(count(1200, 'message', '1,200')).toBe('1,200 messages');
});
