/** A pool of workers with a queue of tasks. Results arrive by promise, by callback, or many of them in order. */

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
  /** How many tasks run at once. Default: 3. */
  readonly workers?: number;
  /** How long one task may take, from its start and not from its request. Default: no limit. */
  readonly taskTimeoutMs?: number;
}

/** Failures are only reported to the caller: there are no dead letters. */
export const tasksIn = <Task extends z.ZodType>(name: string, task: Task) =>
  defineQueue(name, task, { deadLetter: false });

/**
 * Starts workers in this process. `work` is a function, for work that mostly waits, or a module whose default export is
 * the function, for CPU-bound work. A module runs in threads, so the event loop stays free.
 */
export async function startWorkers<Task>(
  broker: Broker,
  tasks: Queue<never, Task>,
  work: ((task: Task) => unknown) | URL,
  { workers = 3, taskTimeoutMs = Number.POSITIVE_INFINITY }: WorkerOptions = {},
): Promise<Consumer> {
  const retry = { delaysMs: [0] }; // if a worker crashes, another one retries the task once
  const observe = () => {}; // failures are the caller's to report
  const options = {
    concurrency: workers,
    prefetch: workers,
    handlerTimeoutMs: taskTimeoutMs,
    retry,
    observe,
  };
  const handler = work instanceof URL ? { module: work, threads: workers } : work;
  const consumer = createConsumer(broker, tasks, handler, options);
  await consumer.start();
  return consumer;
}

/** The caller's side. The workers may be in this process, in others, or on other machines. */
export class Pool<Task, Result> {
  readonly #requester: Requester<Task, Result>;
  readonly #pending = new Set<Promise<Result>>();
  readonly #ahead: number;
  #closed = false;

  /** `ahead`: how many tasks `imap` has in progress at once. */
  constructor(broker: Broker, tasks: Queue<Task>, result: z.ZodType<Result>, { ahead = 12 } = {}) {
    // No time limit: it would include the wait in the queue, so that the last of many tasks would fail.
    const timeoutMs = Number.POSITIVE_INFINITY;
    this.#requester = createRequester(broker, tasks, { reply: result, timeoutMs }) as Requester<Task, Result>;
    this.#ahead = ahead;
  }

  /** Resolves to the result. Rejects with `REMOTE_ERROR`, whose `remote` has the worker's message and code. */
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

  /** Yields the results in the order of the tasks, each as soon as it is available. Takes tasks only as needed. */
  async *imap(tasks: Iterable<Task>): AsyncGenerator<Result, void, undefined> {
    const ahead: Promise<Result>[] = [];
    for (const task of tasks) {
      const answer = this.apply(task);
      answer.catch(() => {}); // thrown when it is this task's turn, if the loop gets that far
      ahead.push(answer);
      if (ahead.length === this.#ahead) yield ahead.shift() as Promise<Result>;
    }
    while (ahead.length > 0) yield ahead.shift() as Promise<Result>;
  }

  /** Stops accepting tasks. */
  close(): void {
    this.#closed = true;
  }

  /** Waits for all accepted tasks. */
  async join(): Promise<void> {
    if (!this.#closed) throw new QueueError('INVALID_OPTION', 'call close() before join()');
    await Promise.allSettled(this.#pending);
    await this.#requester.close();
  }
}
