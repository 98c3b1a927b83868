import { availableParallelism } from 'node:os';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { WaitOptions } from '../broker.js';
import { instrumentation } from '../common/hooks/instrumentation.js';
import {
  checkOptionNames,
  durationOption,
  errorText,
  integerOption,
  invalidOption,
} from '../common/options.js';
import { emitWarning } from '../common/reporting/logger.js';
import { onAbort, within } from '../common/waiting/waiting.js';
import { QueueError, RejectMessage } from '../errors.js';
import type { HandlerContext } from './consumer.js';
import { replyValue, type ThreadResult, type ThreadTask, toError, toFailure } from './thread-task.js';

/** The compiled thread module. Code that runs from its source uses that of the build, since Node 20 can't load .ts. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/consumer/thread-task.js' : './thread-task.js',
  import.meta.url,
);

/** How much longer than others a thread may take that still loads its module. */
const LOAD_LIMIT_MS = 30_000;

/**
 * A handler that runs in worker threads, for CPU-bound work that would block the event loop and with it the heartbeats.
 */
export interface ThreadedHandler {
  /**
   * A module whose default export is the handler: `new URL('./resize.js', import.meta.url)`. Each thread loads it once.
   * `start` rejects with `INVALID_OPTION` if it can't be loaded. The value is passed as a structured clone; one that
   * can't be cloned, because it contains a function for example, makes its message a dead letter (`rejected`).
   */
  readonly module: URL;
  /** The number of threads, and so of handlers that run at once. Default: the number of processors. */
  readonly threads?: number | undefined;
  /**
   * How long a handler may continue after its signal was aborted, for example by the time limit. After that its thread
   * is terminated and replaced, even if it is busy. A thread that still loads the module has 30 seconds more.
   * Milliseconds. Default: 1000.
   */
  readonly terminateAfterMs?: number | undefined;
}

/** Where handlers run. */
export interface HandlerHost {
  /** Rejects with `INVALID_OPTION` if there is no handler, and as `within` does. */
  open(wait: WaitOptions): Promise<void>;
  /** Called when no further handler will start, so that handlers which wait for more messages can continue. */
  drain(): void;
  /** Ends the environment of the handlers. Never rejects. */
  close(): Promise<void>;
}

/**
 * The threads of one consumer. They live from `open` to `close`.
 *
 *   idle ──run()──► running ──the handler returns or throws──► idle
 *    ▲                │  └──signal aborted──► ending ──in time──► idle
 *    │                │                         └──not in time──► terminated
 *    └──(replaced)────┴──────(the thread ends on its own)───────────► ▲
 */
export class HandlerThreads implements HandlerHost {
  readonly count: number;
  readonly #module: string;
  readonly #terminateAfterMs: number;
  #pool: Promise<Piscina<ThreadTask, ThreadResult>> | undefined;
  /** Whether a thread could load the module. */
  #isLoadable = false;

  /** Throws `INVALID_OPTION`. */
  constructor(options: ThreadedHandler) {
    checkOptionNames('handler', options, ['module', 'threads', 'terminateAfterMs']);
    const { module, threads, terminateAfterMs } = options;
    if (!(module instanceof URL)) {
      throw invalidOption('module', "a URL such as new URL('./handler.js', import.meta.url)", module);
    }
    this.#module = module.href;
    this.count = integerOption('threads', threads, { min: 1, max: 1024, default: availableParallelism() });
    this.#terminateAfterMs = durationOption('terminateAfterMs', terminateAfterMs, { default: 1000 });
  }

  /** Starts the threads, and loads the module in one of them to check that it can be loaded. */
  async open(wait: WaitOptions): Promise<void> {
    this.#pool ??= this.#open();
    const pool = await this.#pool;
    // A consumer that resumes would wait for a thread that has finished.
    if (this.#isLoadable) return;
    const task: ThreadTask = { module: this.#module, call: undefined };
    // A module may end its thread, or run out of memory.
    const loading = pool.run(task).catch((error): ThreadResult => ({ ok: false, failure: toFailure(error) }));
    const result = await within(loading, `loading ${this.#module}`, wait);
    this.#isLoadable = result.ok;
    if (result.ok) return;
    const cause = toError(result.failure);
    throw new QueueError('INVALID_OPTION', `module: ${this.#module} can't be loaded: ${cause.message}`, {
      cause,
    });
  }

  /**
   * Runs the handler in a thread. `wantsReply`: whether the return value is sent as a reply. Rejects with its error, with
   * `RejectMessage` if the value can't be passed, or when its thread has ended.
   */
  async run(value: unknown, context: HandlerContext, wantsReply: boolean): Promise<unknown> {
    // Before anything is awaited.
    const carried = instrumentation.current?.carry();
    this.#pool ??= this.#open();
    const pool = await this.#pool;
    const { port1, port2 } = new MessageChannel();
    const termination = new AbortController();
    let hasBegun = false;
    let timer: NodeJS.Timeout | undefined;
    const { signal } = context;
    const terminateLater = () => {
      clearTimeout(timer);
      // One that is terminated while it loads the module would load it again for the next message, and never finish.
      const afterMs = this.#terminateAfterMs + (hasBegun ? 0 : LOAD_LIMIT_MS);
      timer = setTimeout(() => termination.abort(), afterMs).unref();
    };
    const passOn = () => {
      port1.postMessage(toFailure(signal.reason));
      terminateLater();
    };
    port1.on('message', () => {
      hasBegun = true;
      if (signal.aborted) terminateLater();
    });
    port1.unref();
    const unlisten = onAbort(signal, passOn);
    if (signal.aborted) passOn();
    try {
      const { signal: _, ...cloneable } = context;
      const call = { value: compact(value), context: cloneable, wantsReply, carried, port: port2 };
      return unwrap(await runOn(pool, { module: this.#module, call }, port2, termination.signal));
    } finally {
      unlisten();
      clearTimeout(timer);
      port1.close();
    }
  }

  drain(): void {}

  /** Terminates all threads, even busy ones. Always resolves. */
  async close(): Promise<void> {
    const pool = await this.#pool?.catch(() => undefined);
    await pool?.destroy();
  }

  async #open(): Promise<Piscina<ThreadTask, ThreadResult>> {
    // Loaded only if threads are used.
    const { Piscina } = await import('piscina');
    const pool: Piscina<ThreadTask, ThreadResult> = new Piscina({
      filename: THREAD.href,
      // A constant number, so that a thread that has ended is replaced at once.
      minThreads: this.count,
      maxThreads: this.count,
      // Otherwise a thread sleeps between two messages, and so do the sockets and timers of its module.
      atomics: 'disabled',
    });
    pool.on('error', (error) => {
      // A handler that ended while its thread was being terminated: the outcome was settled before.
      if (String(error?.message).startsWith('Unexpected message from Worker')) return;
      const text = `a handler's thread has ended between two messages: ${errorText(error)}`;
      emitWarning('MILLRACE_THREAD_ENDED', text, error);
    });
    return pool;
  }
}

async function runOn(
  pool: Piscina<ThreadTask, ThreadResult>,
  task: ThreadTask,
  port: MessagePort,
  signal: AbortSignal,
): Promise<ThreadResult> {
  try {
    return await pool.run(task, { transferList: [port], signal });
  } catch (error) {
    throwIfUncloneable(task);
    throw new Error(`the handler's thread has ended: ${errorText(error)}`, { cause: error });
  }
}

/** A clone of a view has all of the memory behind it: for a small message that is what arrived together with it. */
function compact(value: unknown): unknown {
  return value instanceof Uint8Array && value.byteLength < value.buffer.byteLength
    ? new Uint8Array(value)
    : value;
}

/** Throws `RejectMessage`. No further attempt at the message can have another value. */
function throwIfUncloneable({ call }: ThreadTask): void {
  try {
    structuredClone({ ...call, port: undefined });
  } catch (error) {
    throw new RejectMessage(
      `its value can't be passed to the handler's thread, as a structured clone: ${errorText(error)}`,
      { cause: error },
    );
  }
}

function unwrap(result: ThreadResult): unknown {
  if (result.ok) return result.reply && replyValue(result.reply);
  throw toError(result.failure);
}
