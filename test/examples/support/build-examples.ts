import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Has `dist/examples` up to date, for tests that start a program of their own on a part of an example. */
export async function buildExamples(): Promise<void> {
  const runner = fileURLToPath(new URL('../../../scripts/run-example.mjs', import.meta.url));
  await promisify(execFile)(process.execPath, [runner, '--build']);
}
