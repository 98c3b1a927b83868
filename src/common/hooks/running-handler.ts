import { AsyncLocalStorage } from 'node:async_hooks';
import type { Backend, Message } from '../../broker.js';

/** A running handler, as seen by the functions that it calls. */
export interface RunningHandler {
  /**
   * Whether a message that is published to `queue` now would be handled only after this handler has ended, so that waiting
   * for its reply would always time out. Rejects as `Broker.inspect` does.
   */
  holdsUp(broker: Backend, queue: string, message: Message): Promise<boolean>;
}

const current = new AsyncLocalStorage<RunningHandler | undefined>();
/**
 * Whether `runningHandler` works. Tracking asynchronous calls slows the whole process down on Node 20 and 22, so it is
 * done only while there are requesters.
 */
export const handlerTracking = { isOn: false };

/** Runs `call` as part of this handler, or of none. */
export function runAs<T>(handler: RunningHandler | undefined, call: () => T): T {
  return current.run(handler, call);
}

/** The handler that made the present call, directly or through other functions. */
export function runningHandler(): RunningHandler | undefined {
  return handlerTracking.isOn ? current.getStore() : undefined;
}
