import { expect, test } from 'vitest';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('deadlock: locks taken one after the other lock up, keys held together finish 10,000 pairs', async () => {
  const lines = await linesOf('deadlock');
  const done = /^one lock after the other: locked up with (\d+) of 10000 done$/.exec(lines[0] ?? '')?.[1];
  expect(Number(done)).toBeLessThan(10_000);
  const side = /0 clashes, up to (\d+) side by side$/.exec(lines[1] ?? '')?.[1];
  expect(Number(side)).toBeGreaterThan(1);
  await expectAsInReadme('deadlock', lines, { varies: [/with \d+ of 10000(?= done$)/, /up to \d+/] });
});

test('deadlock: keys held together finish on a folder, too', async () => {
  const [, keyed] = await linesOf('deadlock', '-u', await diskAddress());
  expect(keyed).toMatch(/finished with 10000 of 10000 done, 0 clashes/);
});
