/** A pool of workers over a queue of tasks: ask and wait, ask and be called back, or ask for many answers at once. */
import { createConsumer, createRequester, defineQueue, QueueError } from 'millrace';
import { z } from 'zod';

/**
 * @param {import('millrace').Broker} broker
 * @param {string} name of the queue
 * @param {((task: any) => unknown) | URL} work a function for what mostly waits; a module, whose default export is
 *   the function, for what keeps a processor busy: it runs in threads, and the event loop is free for other things
 */
export async function createPool(broker, name, work, { workers = 3 } = {}) {
  const tasks = defineQueue(name, z.unknown(), { deadLetter: false });
  const retry = { delaysMs: [0] }; // a worker that crashed under a task: another one tries it once more
  const consumer =
    work instanceof URL
      ? createConsumer(broker, tasks, { module: work, threads: workers }, { retry })
      : createConsumer(broker, tasks, work, { concurrency: workers, retry });
  await consumer.start();
  const requester = createRequester(broker, tasks, { reply: z.unknown(), timeoutMs: 30_000 });
  const pending = new Set();
  let closed = false;

  /** Resolves to the result. Rejects with the worker's error: `REMOTE_ERROR`, whose `remote` has its message and code. */
  async function apply(task) {
    if (closed) throw new QueueError('CLOSED', 'the pool is closed');
    const answer = requester.request(task);
    pending.add(answer);
    return answer.finally(() => pending.delete(answer));
  }

  return {
    apply,

    /** Returns at once; calls `callback(error)` or `callback(undefined, result)` later. */
    applyAsync(task, callback) {
      apply(task).then((result) => callback(undefined, result), callback);
    },

    /** The results in the order of the tasks, however long each of them took. */
    map(list) {
      return Promise.all(Array.from(list, apply));
    },

    /** Takes no more tasks. */
    close() {
      closed = true;
    },

    /** Waits for the tasks that were taken, then ends the workers. */
    async join() {
      if (!closed) throw new QueueError('INVALID_OPTION', 'call close() before join()');
      await Promise.allSettled(pending);
      await requester.close();
      await consumer.stop();
    },
  };
}
