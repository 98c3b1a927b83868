import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { QueueError } from '../../errors.js';
import type { Opened, Posted, Reply } from './protocol.js';
import { Park } from './store/park.js';

/** Compiled code has the compiled thread next to it. Run from its source, it takes the build's: Node 20 loads no .ts. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts')
    ? '../../../dist/local-queue/disk/store/store-thread.js'
    : './store/store-thread.js',
  import.meta.url,
);

/** The thread's objects live as long as a transaction. With V8's default for it a worker takes 20 MB more, and is no faster. */
const YOUNG_GENERATION_MB = 8;

export interface StoreWorkerSettings {
  readonly folder: string;
  readonly leaseMs: number;
  /** Another module in place of the store thread's own. For tests that have it die at chosen moments. */
  readonly thread?: URL | undefined;
}

export interface StoreWorkerListener {
  onReply(reply: Reply): void;
  /** There will be no reply any more. Called once. */
  onEnd(error: QueueError): void;
}

/** The store thread of a folder, as it begins and ends. It keeps the process alive until `unref`. */
export class StoreWorker {
  /** Rejects where the store can't be opened. */
  readonly opened: Promise<void>;
  /** Resolves when the thread is no more, and has nothing open. */
  readonly exited: Promise<void>;
  readonly #worker: Worker;

  constructor({ folder, leaseMs, thread }: StoreWorkerSettings, listener: StoreWorkerListener) {
    const park = new Park();
    const workerData = { folder, leaseMs, park: park.memory };
    // Without the flags of this process, which may be meant for its main program alone.
    const worker = new Worker(thread ?? THREAD, {
      name: 'millrace-store',
      workerData,
      execArgv: [],
      stdin: false,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker = worker;
    park.guard();
    let failure: QueueError | undefined;
    this.exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    this.opened = new Promise((resolve, reject) => {
      worker.once('message', ({ code, message = '' }: Opened) => {
        if (code === undefined) {
          worker.on('message', (reply: Reply) => listener.onReply(reply));
          resolve();
        } else {
          failure = new QueueError(code, message);
        }
      });
      worker.once('error', (error) => {
        failure = threadError(folder, error);
      });
      worker.once('exit', (status) => {
        park.unguard();
        failure ??= new QueueError('STORAGE_ERROR', `the thread for ${folder} ended with status ${status}`);
        listener.onEnd(failure);
        reject(failure);
      });
    });
    // The caller handles it later; until then it must not count as an unhandled rejection.
    this.opened.catch(() => {});
  }

  post(requests: Posted[], transfer: ArrayBuffer[]): void {
    this.#worker.postMessage(requests, transfer);
  }

  ref(): void {
    this.#worker.ref();
  }

  unref(): void {
    this.#worker.unref();
  }
}

/** Whatever ends the thread is no matter of the files: those it reports itself. */
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
    `the thread for ${join(folder)} ended (${message})${advice}; what is stored is unharmed`,
    { cause: error },
  );
}
