/** A pool of workers over a queue of tasks: ask and wait, ask and be called back, or ask for many results in order. */

import type { Queue, Requester } from 'millrace';
import {
  type Broker,
  type Consumer,
  createConsumer,
  createRequester,
  defineQueue,
  QueueError,
} from 'millrace';
import type { z } from 'zod';

export interface WorkerOptions {
  /** How many tasks are done at once. Default: 3. */
  readonly workers?: number;
  /** How long one task may take, counted from its start and not from when it was asked for. Default: no limit. */
  readonly taskTimeoutMs?: number;
}

/** What fails is told to whoever asked, and to nobody else: there are no dead letters. */
export const tasksIn = <Task extends z.ZodType>(name: string, task: Task) =>
  defineQueue(name, task, { deadLetter: false });

/**
 * Begins to do tasks, in this process: `work` is a function for what mostly waits, or a module, whose default export is
 * the function, for what keeps a processor busy. That one runs in threads, and the event loop is free for other things.
 */
export async function startWorkers<Task>(
  broker: Broker,
  tasks: Queue<never, Task>,
  work: ((task: Task) => unknown) | URL,
  { workers = 3, taskTimeoutMs = Number.POSITIVE_INFINITY }: WorkerOptions = {},
): Promise<Consumer> {
  const retry = { delaysMs: [0] }; // a worker that crashed under a task: another one tries it once more
  const options = { concurrency: workers, prefetch: workers, handlerTimeoutMs: taskTimeoutMs, retry };
  const handler = work instanceof URL ? { module: work, threads: workers } : work;
  const consumer = createConsumer(broker, tasks, handler, options);
  await consumer.start();
  return consumer;
}

/** The side that asks. It does not matter to it where the workers are: here, in other processes, on other machines. */
export class Pool<Task, Result> {
  readonly #requester: Requester<Task, Result>;
  readonly #pending = new Set<Promise<Result>>();
  readonly #ahead: number;
  #closed = false;

  /** `ahead` is how many tasks `imap` has under way at once. */
  constructor(broker: Broker, tasks: Queue<Task>, result: z.ZodType<Result>, { ahead = 12 } = {}) {
    // No time limit: it would count the wait in the queue, and the last of many tasks would fail for being the last.
    const timeoutMs = Number.POSITIVE_INFINITY;
    this.#requester = createRequester(broker, tasks, { reply: result, timeoutMs }) as Requester<Task, Result>;
    this.#ahead = ahead;
  }

  /** Resolves to the result. Rejects with the worker's error: `REMOTE_ERROR`, whose `remote` has its message and code. */
  apply(task: Task): Promise<Result> {
    if (this.#closed) return Promise.reject(new QueueError('CLOSED', 'the pool is closed'));
    const answer = this.#requester.request(task);
    this.#pending.add(answer);
    return answer.finally(() => this.#pending.delete(answer));
  }

  /** Returns at once; calls `callback(error)` or `callback(undefined, result)` later. */
  applyAsync(task: Task, callback: (error: unknown, result?: Result) => void): void {
    this.apply(task).then((result) => callback(undefined, result), callback);
  }

  /** All results at once, in the order of the tasks, however long each of them took. */
  map(tasks: Iterable<Task>): Promise<Result[]> {
    return Promise.all(Array.from(tasks, (task) => this.apply(task)));
  }

  /** One result after the other, in the order of the tasks, each as soon as it is there. Takes tasks only as it needs them. */
  async *imap(tasks: Iterable<Task>): AsyncGenerator<Result, void, undefined> {
    const ahead: Promise<Result>[] = [];
    for (const task of tasks) {
      const answer = this.apply(task);
      answer.catch(() => {}); // thrown where it is this one's turn, if the loop comes so far
      ahead.push(answer);
      if (ahead.length === this.#ahead) yield ahead.shift() as Promise<Result>;
    }
    while (ahead.length > 0) yield ahead.shift() as Promise<Result>;
  }

  /** Takes no more tasks. */
  close(): void {
    this.#closed = true;
  }

  /** Waits for the tasks that were taken. */
  async join(): Promise<void> {
    if (!this.#closed) throw new QueueError('INVALID_OPTION', 'call close() before join()');
    await Promise.allSettled(this.#pending);
    await this.#requester.close();
  }
}
