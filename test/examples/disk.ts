import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { connect } from '../../src/connect.js';
import { isQueueError } from '../../src/errors.js';

/** The address of a new folder, which is gone when the test is. */
export async function diskAddress(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'examples-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return `local:${folder}`;
}

/** Whether `local:FOLDER` is an address that `connect` knows. */
export async function hasDiskBroker(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'examples-'));
  try {
    await (await connect(`local:${folder}`)).close();
    return true;
  } catch (error) {
    if (isQueueError(error, 'INVALID_OPTION')) return false;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
