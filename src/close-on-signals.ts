import type { Broker } from './broker.js';
import { checkOptionNames, durationOption, invalidOption } from './common/options.js';
import { Deferred } from './common/waiting/waiting.js';

/** Anything that {@link closeOnSignals} stops before it closes the broker: consumers, batch consumers, schedulers. */
export interface Stoppable {
  /** Resolves when nothing is handled any more. */
  stop(options?: { readonly deadlineMs?: number | undefined }): Promise<unknown>;
}

/** The name of a signal, such as `SIGTERM`. */
export type SignalName = `SIG${string}`;

/** How {@link closeOnSignals} closes. */
export interface CloseOnSignalsOptions {
  /** How long running handlers may take to finish. Milliseconds. Default: 30,000. */
  readonly deadlineMs?: number | undefined;
  /** Default: `SIGINT` and `SIGTERM`. */
  readonly signals?: readonly SignalName[] | undefined;
}

/** Returned by {@link closeOnSignals}. */
export interface ClosingOnSignals extends Disposable {
  /** Resolves with the signal when everything is closed, so that the program can close the rest, such as a server. */
  readonly closed: Promise<SignalName>;
  /** Leaves signals to others again. `using` calls it at the end of a block. */
  [Symbol.dispose](): void;
}

/**
 * Ends a program in order. At the first signal it stops the consumers, which lets running handlers finish until the
 * deadline, and then closes the broker; the process ends on its own when nothing else keeps it alive. A second signal
 * returns unfinished messages to their queues at once, and then ends the process as the signal does by default.
 *
 * ```ts
 * closeOnSignals(broker, [consumer]);
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function closeOnSignals(
  broker: Broker,
  consumers: readonly Stoppable[] = [],
  options: CloseOnSignalsOptions = {},
): ClosingOnSignals {
  checkOptionNames('closeOnSignals', options, ['deadlineMs', 'signals']);
  const { signals = ['SIGINT', 'SIGTERM'] } = options;
  const deadlineMs = durationOption('deadlineMs', options.deadlineMs, { infinity: true, default: 30_000 });
  if (typeof broker?.close !== 'function')
    throw invalidOption('broker', 'the broker that connect() resolves to', broker);
  if (!Array.isArray(consumers) || !consumers.every((each) => typeof each?.stop === 'function')) {
    throw invalidOption('consumers', 'a list of objects with a stop method', consumers);
  }
  const closed = new Deferred<SignalName>();
  let first: SignalName | undefined;
  /** The second signal. */
  let insisting: SignalName | undefined;

  const close = async (limitMs: number) => {
    await Promise.allSettled(consumers.map((consumer) => consumer.stop({ deadlineMs: limitMs })));
    await broker.close();
  };
  const onSignal = (signal: SignalName) => {
    if (first === undefined) {
      first = signal;
      void close(deadlineMs).then(() => {
        dispose();
        if (insisting !== undefined) process.kill(process.pid, insisting as NodeJS.Signals);
        else closed.resolve(signal);
      });
    } else if (insisting === undefined) {
      insisting = signal;
      // Brings the deadline of the first call forward.
      void close(0);
    }
  };
  const dispose = () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  return { closed: closed.promise, [Symbol.dispose]: dispose };
}
