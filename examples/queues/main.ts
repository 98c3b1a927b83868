/** The three orders of a queue, and what happens when it is empty or full. */
import { type ItemOrder, isQueueError, LocalQueue } from 'millrace';

/** Jobs can be compared with `<`, by their due time. */
class Job {
  readonly name: string;
  readonly dueInHours: number;

  constructor(name: string, dueInHours: number) {
    this.name = name;
    this.dueInHours = dueInHours;
  }

  valueOf(): number {
    return this.dueInHours;
  }

  toString(): string {
    return this.name;
  }
}

const jobs = [new Job('report', 8), new Job('backup', 24), new Job('alarm', 0), new Job('mail', 8)];

async function show(title: string, order: ItemOrder<Job>): Promise<void> {
  const queue = new LocalQueue<Job>({ order });
  for (const job of jobs) await queue.put(job);
  queue.close(); // takers get the remaining items, then the loop ends
  const taken: string[] = [];
  for await (const job of queue) taken.push(String(job));
  console.log(`${title}: ${taken.join(', ')}`);
}

await show('first in, first out', 'fifo');
await show('last in, first out', 'lifo');
await show('by priority', { priority: Number }); // the smallest first; equal ones in the order of arrival

const narrow = new LocalQueue<string>({ capacity: 2 });
console.log(`tryTake of an empty queue: ${narrow.tryTake()}`);
await narrow.take({ timeoutMs: 20 }).catch(explain('take from an empty queue'));

console.log(`tryPut into a queue for 2: ${['a', 'b', 'c'].map((item) => narrow.tryPut(item)).join(', ')}`);
await narrow.put('c', { timeoutMs: 20 }).catch(explain('put into a full queue'));
await narrow.put('c', { signal: AbortSignal.abort() }).catch(explain('put with a signal that is aborted'));

const waiting = narrow.put('c'); // no limit: it waits for room,
console.log(`take: ${await narrow.take()}`); // which this makes
await waiting;
console.log(`${narrow.size} in the queue`);

narrow.close();
await narrow.put('d').catch(explain('put into a closed queue'));

function explain(what: string): (error: unknown) => void {
  return (error) => {
    if (!isQueueError(error)) throw error;
    console.log(`${what}: ${error.code}`);
  };
}
