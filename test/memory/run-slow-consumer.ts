import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./slow-consumer.mjs', import.meta.url));

export interface SlowConsumerReport {
  readonly startBytes: number;
  readonly peakBytes: number;
  readonly handled: number;
  readonly greatestDepth: number;
  readonly left: number;
}

export const MIB = 1024 * 1024;

/**
 * V8 lets garbage of short life pile up to a size that differs between its versions (16 MB a half on Node 20, more on
 * 26). With a small one, what is measured is what is held, and not how late it is collected.
 */
const EAGER_COLLECTION = '--max-semi-space-size=8';

/** Runs a fast producer against a slow consumer in a process of its own, on the built package. */
export async function runSlowConsumer(
  address: string,
  queue: string,
  messages: number,
): Promise<SlowConsumerReport> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    EAGER_COLLECTION,
    SCRIPT,
    address,
    queue,
    String(messages),
  ]);
  return JSON.parse(stdout);
}
