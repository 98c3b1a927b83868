import { test } from 'vitest';
import { diskAddress } from './disk.js';
import { expectEvents } from './events-lines.js';
import { expectAsInReadme } from './readme-output.js';
import { linesOf } from './run-example.js';

test('events: each subscription does its part, and a failing one retries alone', async () => {
  const lines = await linesOf('events');
  expectEvents(lines);
  await expectAsInReadme('events', lines, { anyOrder: true });
});

test('events does the same on a folder', async () => {
  expectEvents(await linesOf('events', '-u', await diskAddress()));
});
