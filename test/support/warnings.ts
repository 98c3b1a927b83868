import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers';
import { onTestFinished, type TestContext } from 'vitest';

/** A process warning, as its listeners get it. */
export interface SeenWarning extends Error {
  readonly code?: string;
  readonly detail?: string;
}

interface Recording {
  readonly expected: readonly string[];
  readonly seen: SeenWarning[];
}

const recordings = new Set<Recording>();
/** The test that runs: vitest itself loses track of tests that run at the same time. */
const tests = new AsyncLocalStorage<TestContext>();
/** Node's own listener, which prints; undefined if warnings are turned off. */
const print = process.listeners('warning').find(({ name }) => name === 'onWarning');

function onWarning(warning: SeenWarning): void {
  const isExpected = [...recordings].some(({ expected }) => expected.includes(warning.code ?? ''));
  for (const { seen } of recordings) seen.push(warning);
  if (!isExpected) print?.(warning);
}

/** Runs a test that may run at the same time as others. */
export function asTest<T>(context: TestContext, run: () => T): T {
  return tests.run(context, run);
}

/**
 * Records the process warnings until the end of the test. Those with an expected code are not printed; any other one
 * is, as without this function: so what a test log shows was expected by no test.
 */
export function recordWarnings(...expected: readonly string[]): readonly SeenWarning[] {
  const recording: Recording = { expected, seen: [] };
  if (recordings.size === 0) {
    if (print !== undefined) process.off('warning', print);
    process.on('warning', onWarning);
  }
  recordings.add(recording);
  (tests.getStore()?.onTestFinished ?? onTestFinished)(async () => {
    // Warnings are emitted a moment later.
    await new Promise<void>((resolve) => setImmediate(resolve));
    recordings.delete(recording);
    if (recordings.size > 0) return;
    process.off('warning', onWarning);
    if (print !== undefined) process.on('warning', print);
  });
  return recording.seen;
}
