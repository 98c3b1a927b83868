import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { QueueError } from '../../errors.js';
import type { Opened, Reply, StoreSettings } from './protocol.js';
import { ExitGuard } from './store/sqlite.js';

/** Compiled code has the compiled thread next to it. Run from its source, it takes the build's: Node 20 loads no .ts. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts')
    ? '../../../dist/local-queue/disk/store/store-thread.js'
    : './store/store-thread.js',
  import.meta.url,
);

/**
 * The thread's objects live as long as a transaction. With V8's default, a worker takes 20 MB more, and is no faster.
 */
const YOUNG_GENERATION_MB = 8;

export interface StoreWorkerSettings {
  readonly folder: string;
  readonly leaseMs: number;
  /** A replacement for the store thread's module, for tests that make it die at chosen moments. */
  readonly thread?: URL | undefined;
}

export interface StoreWorkerListener {
  readonly onReply: (reply: Reply) => void;
  /** There will be no further reply. Called once. */
  readonly onEnd: (error: QueueError) => void;
}

export interface StoreWorker {
  /** It keeps the process alive until `unref`. Takes lists of requests. */
  readonly thread: Worker;
  /** Rejects if the store can't be opened. */
  readonly opened: Promise<void>;
  /** Resolves when the thread has ended, and has nothing open. */
  readonly exited: Promise<void>;
}

/** Starts the store thread of a folder. */
export function startStoreWorker(settings: StoreWorkerSettings, listener: StoreWorkerListener): StoreWorker {
  const { folder, leaseMs } = settings;
  const exitGuard = new ExitGuard();
  const thread = new Worker(settings.thread ?? THREAD, {
    name: 'millrace-store',
    workerData: { folder, leaseMs, exitGuard: exitGuard.memory } satisfies StoreSettings,
    // Without the flags of this process, which may be meant for its main program only.
    execArgv: [],
    stdin: false,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  exitGuard.arm();
  let failure: QueueError | undefined;
  const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
  const opened = new Promise<void>((resolve, reject) => {
    thread.once('message', ({ code, message = '' }: Opened) => {
      if (code === undefined) {
        thread.on('message', listener.onReply);
        resolve();
      } else {
        failure = new QueueError(code, message);
      }
    });
    thread.once('error', (error) => {
      failure = threadError(folder, error);
    });
    thread.once('exit', (status) => {
      exitGuard.disarm();
      failure ??= new QueueError('STORAGE_ERROR', `the thread for ${folder} ended with status ${status}`);
      listener.onEnd(failure);
      reject(failure);
    });
  });
  // The caller handles it later; until then it must not count as an unhandled rejection.
  opened.catch(() => {});
  return { thread, opened, exited };
}

/** A dead thread is not a storage fault; the thread reports those itself. */
function threadError(folder: string, error: unknown): QueueError {
  const { message, code = '' } = error as NodeJS.ErrnoException;
  const advice =
    code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
      ? ': a part of millrace is missing; bundlers have to leave the package external'
      : code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? ': it had no memory left'
        : '';
  return new QueueError(
    'STORAGE_ERROR',
    `the thread for ${join(folder)} ended (${message})${advice}; stored messages are intact`,
    { cause: error },
  );
}
