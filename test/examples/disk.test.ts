import { describe, expect, test } from 'vitest';
import { DIALOGUE } from './dialogue-lines.js';
import { diskAddress } from './disk.js';
import { Example, linesOf } from './run-example.js';

describe('on a folder, with no broker at all', () => {
  test('hello/receive gets what hello/send sends, each in a process of its own', async () => {
    const address = await diskAddress();
    const receiver = new Example('hello/receive', '-u', address);
    await receiver.printed(/Waiting for messages/);

    expect(await linesOf('hello/send', '-u', address)).toEqual([" [x] Sent 'Hello World!'"]);
    await receiver.printed(/Received 'Hello World!'/);

    receiver.child.kill('SIGINT');
    expect(await receiver.exit()).toBe(0);
  });

  test('dialogue: the speakers take strict turns', async () => {
    expect(await linesOf('dialogue', '-u', await diskAddress())).toEqual(DIALOGUE);
  });

  test('processes: all jobs are done though a consumer is killed, and the producer ends by itself', async () => {
    const example = new Example('processes');

    expect(await example.exit(), example.stderr).toBe(0);
    expect(example.lines).toContain('producer: 40 jobs are stored');
    expect(example.lines.at(-1)).toBe('40 jobs done, most of them by Ben; Ann was killed');
    expect(example.stdout).toMatch(/^Ben: job \d+ comes again, whoever had it before is gone$/m);
  });
});
