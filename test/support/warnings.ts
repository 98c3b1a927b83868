import { onTestFinished } from 'vitest';

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
/** Node's own listener, which prints; undefined if warnings are turned off. */
const print = process.listeners('warning').find(({ name }) => name === 'onWarning');

function onWarning(warning: SeenWarning): void {
  const isExpected = [...recordings].some(({ expected }) => expected.includes(warning.code ?? ''));
  for (const { seen } of recordings) seen.push(warning);
  if (!isExpected) print?.(warning);
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
  onTestFinished(() => {
    recordings.delete(recording);
    if (recordings.size > 0) return;
    process.off('warning', onWarning);
    if (print !== undefined) process.on('warning', print);
  });
  return recording.seen;
}
