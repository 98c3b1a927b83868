import { expect, test } from 'vitest';
import { POOL } from './pool-lines.js';
import { linesOf } from './run-example.js';

test('pool: results in order, errors carried back, a free event loop, a crashed worker replaced', async () => {
  expect(await linesOf('pool')).toEqual(POOL);
});
