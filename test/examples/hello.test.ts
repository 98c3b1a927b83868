import { expect, test } from 'vitest';
import { linesOf } from './run-example.js';

test('hello sends and receives in one process, with no broker', async () => {
  expect(await linesOf('hello')).toEqual([" [x] Sent 'Hello World!'", " [x] Received 'Hello World!'"]);
});

test('hello takes a text of yours', async () => {
  expect(await linesOf('hello', 'Grüße', 'to', 'all')).toContain(" [x] Received 'Grüße to all'");
});
