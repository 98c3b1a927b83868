import { AsyncLocalStorage } from 'node:async_hooks';
import type { Backend, Message } from '../broker.js';

/** A handler at work, as seen by what it calls. */
export interface RunningHandler {
  /**
   * Whether a message that is published to `queue` now would be handled only after this handler has ended, so that
   * waiting for its reply in here would last until the time limit. Rejects as `Broker.inspect` does.
   */
  holdsUp(broker: Backend, queue: string, message: Message): Promise<boolean>;
}

const current = new AsyncLocalStorage<RunningHandler | undefined>();
/**
 * Whether handlers can be asked for with `runningHandler`. Following asynchronous calls slows the whole process down on
 * Node 20 and 22: it is done only where there are requesters.
 */
export const handlerTracking = { isOn: false };

/** Runs `call` as a part of this handler, or of none. */
export function runAs<T>(handler: RunningHandler | undefined, call: () => T): T {
  return current.run(handler, call);
}

/** The handler that called, directly or through other functions. */
export function runningHandler(): RunningHandler | undefined {
  return handlerTracking.isOn ? current.getStore() : undefined;
}
