import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { Example } from '../support/run-example.js';
import { expectProcesses } from './processes-lines.js';

test('processes: all jobs are done though a consumer is killed, and the producer ends by itself, on a folder', async () => {
  const example = new Example('processes');
  await expectProcesses(example);
  await expectAsInReadme('processes', example.lines, {
    varies: [/(Ann|Ben)(?=: at work)/, /job \d+/],
    anyOrder: true,
  });
});
