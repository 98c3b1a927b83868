import type { MessagePort } from 'node:worker_threads';
import type { HandlerContext } from './handler-run.js';
import type { ThreadFailure } from './thread-failure.js';

/** What a thread is handed. All of it crosses as structured clones, but for the port, which is moved. */
export interface ThreadTask {
  /** The URL of the module whose default export is the handler. */
  readonly module: string;
  readonly value: unknown;
  readonly context: Omit<HandlerContext, 'signal'>;
  /** Whether somebody wants what the handler returns. */
  readonly wantsReply: boolean;
  /** Says when the handler's signal is to be aborted, and why. */
  readonly abort: MessagePort;
}

export type ThreadResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly failure: ThreadFailure };
