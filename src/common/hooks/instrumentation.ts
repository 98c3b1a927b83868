import type { ProcessTrace } from './tracing.js';

/** A batch, as a tracer sees it. */
export interface TracedBatch {
  readonly queue: string;
  readonly url: string;
  readonly items: readonly Pick<ProcessTrace, 'id' | 'headers'>[];
}

/**
 * What a channel can't do: run a handler within a context. Used while there are subscribers of `millrace.process`, for
 * every consumer of the process.
 */
export interface Instrumentation {
  handle<T>(call: () => Promise<T>, trace: ProcessTrace): Promise<T>;
  handleBatch<T>(call: () => Promise<T>, batch: TracedBatch): Promise<T>;
  /** The data with which a thread continues the active context: passed as structured clones. */
  carry(): Readonly<Record<string, string>>;
  /** Calls the handler in its thread, within the carried context. */
  resume<T>(carried: Readonly<Record<string, string>>, call: () => T): T;
}

/** One at most, set by `instrument` of `millrace/otel`. */
export const instrumentation: { current: Instrumentation | undefined } = { current: undefined };
