import type { ProcessTrace } from './tracing.js';

/** A batch, as a tracer sees it. */
export interface TracedBatch {
  readonly queue: string;
  readonly url: string;
  readonly items: readonly Pick<ProcessTrace, 'id' | 'headers'>[];
}

/**
 * What a channel can't do: run a handler within something. Used while there are subscribers of `millrace.process`, for
 * every consumer of the process.
 */
export interface Instrumentation {
  handle<T>(call: () => Promise<T>, trace: ProcessTrace): Promise<T>;
  handleBatch<T>(call: () => Promise<T>, batch: TracedBatch): Promise<T>;
  /** What a thread needs to know to go on with what is active here: structured clones of it cross. */
  carry(): Readonly<Record<string, string>>;
  /** Calls the handler in its thread, within what was carried there. */
  resume<T>(carried: Readonly<Record<string, string>>, call: () => T): T;
}

/** One at most, set by `instrument` of `millrace/otel`. */
export const instrumentation: { current: Instrumentation | undefined } = { current: undefined };
