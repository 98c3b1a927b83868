import { test } from 'vitest';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';
import { expectEvents } from './events-lines.js';

test('events: each subscription does its part, and a failing one retries alone', async () => {
  const lines = await linesOf('events');
  expectEvents(lines);
  await expectAsInReadme('events', lines, { anyOrder: true });
});

test('events does the same on a folder', async () => {
  expectEvents(await linesOf('events', '-u', await diskAddress()));
});
