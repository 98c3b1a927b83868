import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { errorText } from '../common/error-text.js';
import { onAbort } from '../common/limits.js';
import { checkOptionNames, durationOption, integerOption, invalidOption } from '../common/options.js';
import { RejectMessage } from '../errors.js';
import type { HandlerContext } from './handler-run.js';
import { toError, toFailure } from './thread-failure.js';
import type { ThreadResult, ThreadTask } from './thread-task.js';

/** Compiled code has the compiled thread next to it. Run from its source, it takes the build's: Node 20 loads no .ts. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/consumer/thread.js' : './thread.js',
  import.meta.url,
);

/**
 * A handler that runs in threads of its own, for work that keeps a processor busy: what would hold up the event loop,
 * and with it the broker's heartbeats, holds up one thread.
 */
export interface ThreadedHandler {
  /**
   * A module whose default export is the handler: `new URL('./resize.js', import.meta.url)`. Each thread loads it once.
   * The value, and what the handler returns to a request, cross as structured clones.
   */
  readonly module: URL;
  /** How many threads there are, and so how many handlers run at once. Default: as many as there are processors. */
  readonly threads?: number | undefined;
  /**
   * How long a handler may go on after its signal was aborted, by the time limit say. Then its thread is ended and
   * replaced, whatever it is in the midst of. Milliseconds. Default: 1000.
   */
  readonly terminateAfterMs?: number | undefined;
}

/**
 * The threads of one consumer. They are started with the first message.
 *
 *   idle ──run()──► running ──the handler returns or throws──► idle
 *    ▲                │  └──signal aborted──► ending ──in time──► idle
 *    │                │                         └──not in time──► terminated
 *    └──(replaced)────┴──────(the thread ends by itself)────────────► ▲
 */
export class HandlerThreads {
  readonly count: number;
  readonly #module: string;
  readonly #terminateAfterMs: number;
  #pool: Promise<Piscina<ThreadTask, ThreadResult>> | undefined;

  /** Throws `INVALID_OPTION`. */
  constructor(options: ThreadedHandler) {
    checkOptionNames('handler', options, ['module', 'threads', 'terminateAfterMs']);
    const { module, threads, terminateAfterMs } = options;
    if (!(module instanceof URL)) {
      throw invalidOption('module', "a URL such as new URL('./handler-run.js', import.meta.url)", module);
    }
    this.#module = module.href;
    this.count = integerOption('threads', threads, { min: 1, max: 1024, default: availableParallelism() });
    this.#terminateAfterMs = durationOption('terminateAfterMs', terminateAfterMs, { default: 1000 });
  }

  /** Runs the handler in a thread. Rejects with what it throws, or when its thread has ended. */
  async run(value: unknown, context: HandlerContext): Promise<unknown> {
    this.#pool ??= this.#open();
    const pool = await this.#pool;
    const { port1, port2 } = new MessageChannel();
    const termination = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const { signal } = context;
    const abort = () => {
      port1.postMessage(toFailure(signal.reason));
      timer = setTimeout(() => termination.abort(), this.#terminateAfterMs).unref();
    };
    const unlisten = onAbort(signal, abort);
    if (signal.aborted) abort();
    try {
      const task = toTask(this.#module, value, context, port2);
      return unwrap(await runOn(pool, task, termination.signal));
    } finally {
      unlisten();
      clearTimeout(timer);
      port1.close();
    }
  }

  /** Ends all threads, whatever they do. Always resolves. */
  async close(): Promise<void> {
    const pool = await this.#pool?.catch(() => undefined);
    await pool?.destroy();
  }

  async #open(): Promise<Piscina<ThreadTask, ThreadResult>> {
    // Loaded by those who use threads.
    const { Piscina } = await import('piscina');
    const pool: Piscina<ThreadTask, ThreadResult> = new Piscina({
      filename: THREAD.href,
      // As many at all times: so one that has ended is replaced at once.
      minThreads: this.count,
      maxThreads: this.count,
      // Otherwise a thread is asleep between two messages, and what its module has open there with it.
      atomics: 'disabled',
    });
    pool.on('error', (error) => {
      process.emitWarning(`a handler's thread has ended between two messages: ${errorText(error)}`);
    });
    return pool;
  }
}

async function runOn(
  pool: Piscina<ThreadTask, ThreadResult>,
  task: ThreadTask,
  signal: AbortSignal,
): Promise<ThreadResult> {
  try {
    return await pool.run(task, { transferList: [task.abort], signal });
  } catch (error) {
    throw new Error(`the handler's thread has ended: ${errorText(error)}`, { cause: error });
  }
}

function unwrap(result: ThreadResult): unknown {
  if (result.ok) return result.value;
  const { failure } = result;
  if (failure.isRejection) throw Object.assign(new RejectMessage(failure.message), { stack: failure.stack });
  throw toError(failure);
}

function toTask(
  module: string,
  value: unknown,
  context: HandlerContext,
  abort: ThreadTask['abort'],
): ThreadTask {
  const { queue, id, attempt, redelivered, headers, timestamp, correlationId, replyTo } = context;
  return {
    module,
    value,
    context: { queue, id, attempt, redelivered, headers, timestamp, correlationId, replyTo },
    wantsReply: replyTo !== undefined && correlationId !== undefined,
    abort,
  };
}
