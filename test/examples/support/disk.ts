import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** The address of a new folder, which is gone when the test is. */
export async function diskAddress(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'examples-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return `local:${folder}`;
}
