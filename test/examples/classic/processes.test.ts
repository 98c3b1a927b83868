import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { Example } from '../support/run-example.js';
import { expectProcesses } from './processes-lines.js';

test('processes: all jobs are done though a consumer is killed, and the producer ends by itself, on a folder', async () => {
  const example = new Example('processes');
  await expectProcesses(example);
  // How many jobs Ann had when she was killed differs.
  const lines = example.lines.filter(
    (line, index, all) => !/is redelivered/.test(line) || !/is redelivered/.test(all[index - 1] ?? ''),
  );
  await expectAsInReadme('processes', lines, {
    varies: [/(Ann|Ben)(?=: at work)/, /job \d+/],
    anyOrder: true,
  });
});
