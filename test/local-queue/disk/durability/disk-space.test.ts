import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connect, createProducer, defineQueue } from '../../../../src/index.js';
import { eventually } from '../../../support/eventually.js';

test('an open folder gives the room of purged messages back to the file system, step by step', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-space-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await using broker = await connect(`local:${folder}`);
  const queue = defineQueue('large', z.string(), { deadLetter: false });
  const bytes = () => statSync(join(folder, 'queue.db')).size;
  const text = 'x'.repeat(500_000);
  await createProducer(broker, queue).sendMany(Array.from({ length: 32 }, () => text));
  await broker.purge(queue.name);
  // The log is copied into the file now and then: at the first steps at the latest.
  await eventually(() => bytes() > 8_000_000);
  await eventually(() => bytes() < 8_000_000);
});
