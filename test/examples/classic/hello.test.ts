import { expect, test } from 'vitest';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { Example, linesOf } from '../support/run-example.js';

test('hello sends and receives in one process, with no broker', async () => {
  const lines = await linesOf('hello');
  expect(lines).toEqual([" [x] Sent 'Hello World!'", " [x] Received 'Hello World!'"]);
  await expectAsInReadme('hello', lines);
});

test('hello takes a text of yours', async () => {
  expect(await linesOf('hello', 'Grüße', 'to', 'all')).toContain(" [x] Received 'Grüße to all'");
});

test('hello/receive gets what hello/send sends, each in a process of its own, on a folder', async () => {
  const address = await diskAddress();
  const receiver = new Example('hello/receive', '-u', address);
  await receiver.printed(/Waiting for messages/);

  expect(await linesOf('hello/send', '-u', address)).toEqual([" [x] Sent 'Hello World!'"]);
  await receiver.printed(/Received 'Hello World!'/);

  receiver.child.kill('SIGINT');
  expect(await receiver.exit()).toBe(0);
});
