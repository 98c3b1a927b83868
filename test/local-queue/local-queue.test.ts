import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LocalQueue } from '../../src/local-queue/local-queue.js';
import { rejection, watch } from '../support/rejection.js';

describe('putting and taking', () => {
  test('items come out in the order in which they went in', async () => {
    const queue = new LocalQueue<string>();
    await queue.put('a');
    await queue.put('b');

    expect(queue.size).toBe(2);
    expect([await queue.take(), await queue.take()]).toEqual(['a', 'b']);
    expect(queue.size).toBe(0);
  });

  test('put waits while the queue is full, and goes on in the order of arrival', async () => {
    const queue = new LocalQueue<number>({ capacity: 1 });
    await queue.put(1);
    const second = watch(queue.put(2));
    const third = watch(queue.put(3));
    await turn();
    expect([second.state, third.state, queue.size]).toEqual(['pending', 'pending', 1]);

    expect(await queue.take()).toBe(1);
    await turn();
    expect([second.state, third.state, queue.size]).toEqual(['resolved', 'pending', 1]);
    expect([await queue.take(), await queue.take()]).toEqual([2, 3]);
  });

  test('tryPut does not overtake a put that waits', async () => {
    const queue = new LocalQueue<string>({ capacity: 1 });
    queue.tryPut('first');
    const waiting = queue.put('second');

    expect(queue.tryTake()).toBe('first');
    expect(queue.tryPut('third')).toBe(false);
    expect(queue.tryTake()).toBe('second');
    await waiting;
  });

  test('tryTake does not overtake a take that waits', async () => {
    const queue = new LocalQueue<string>();
    const waiting = queue.take();
    queue.tryPut('a');

    expect(queue.tryTake()).toBeUndefined();
    expect(await waiting).toBe('a');
  });

  test('tryPut and tryTake say at once that there is no room and no item', () => {
    const queue = new LocalQueue<number>({ capacity: 2 });

    expect(queue.tryTake()).toBeUndefined();
    expect([queue.tryPut(1), queue.tryPut(2), queue.tryPut(3)]).toEqual([true, true, false]);
    expect([queue.tryTake(), queue.tryTake(), queue.tryTake()]).toEqual([1, 2, undefined]);
  });

  test('undefined, null and NaN are items', async () => {
    const queue = new LocalQueue<unknown>();
    for (const item of [undefined, null, Number.NaN]) await queue.put(item);

    expect(queue.size).toBe(3);
    expect([await queue.take(), await queue.take(), await queue.take()]).toEqual([
      undefined,
      null,
      Number.NaN,
    ]);
  });

  test('an item is held by reference', async () => {
    const queue = new LocalQueue<object>();
    const item = { deep: { er: 1 } };
    await queue.put(item);

    expect(await queue.take()).toBe(item);
  });

  test('takeMany takes available items, up to the given maximum', async () => {
    const queue = new LocalQueue<number>();
    for (const item of [1, 2, 3, 4, 5]) queue.tryPut(item);

    expect(await queue.takeMany(2)).toEqual([1, 2]);
    expect(await queue.takeMany(Number.POSITIVE_INFINITY)).toEqual([3, 4, 5]);
  });

  test('takeMany waits for the first item and takes those that came with it', async () => {
    const queue = new LocalQueue<number>();
    const batch = queue.takeMany(3);
    for (const item of [1, 2, 3, 4]) queue.tryPut(item);

    expect(await batch).toEqual([1, 2, 3]);
    expect(queue.size).toBe(1);
  });

  test('takeMany also takes the items of waiting puts', async () => {
    const queue = new LocalQueue<number>({ capacity: 1 });
    const puts = [1, 2, 3].map((item) => queue.put(item));

    expect(await queue.takeMany(10)).toEqual([1, 2, 3]);
    await Promise.all(puts);
  });

  test('the capacity is 1024 by default', async () => {
    const queue = new LocalQueue<number>();
    for (let i = 0; i < 1024; i++) await queue.put(i);

    expect(queue.capacity).toBe(1024);
    expect(queue.tryPut(1024)).toBe(false);
  });

  test('with a capacity of Infinity put never waits', async () => {
    const queue = new LocalQueue<number>({ capacity: Number.POSITIVE_INFINITY });
    for (let i = 0; i < 5000; i++) await queue.put(i);

    expect(queue.size).toBe(5000);
  });
});

describe('order', () => {
  test("'lifo' takes the newest first", () => {
    const queue = new LocalQueue<number>({ order: 'lifo' });
    for (const item of [1, 2, 3]) queue.tryPut(item);

    expect([queue.tryTake(), queue.tryTake(), queue.tryTake()]).toEqual([3, 2, 1]);
  });

  test('by priority the smallest comes first, and the first come among equals', () => {
    const queue = new LocalQueue<{ name: string; at: number }>({ order: { priority: (item) => item.at } });
    for (const [name, at] of [
      ['a', 2],
      ['b', 1],
      ['c', 2],
      ['d', 1],
      ['e', Number.NEGATIVE_INFINITY],
    ] as const) {
      queue.tryPut({ name, at });
    }

    expect(Array.from({ length: 5 }, () => queue.tryTake()?.name)).toEqual(['e', 'b', 'd', 'a', 'c']);
  });

  test('a put that waits enters in the order of arrival, whatever its priority', async () => {
    const queue = new LocalQueue<number>({ capacity: 1, order: { priority: (item) => item } });
    queue.tryPut(5);
    const puts = [queue.put(9), queue.put(1)];

    expect([queue.tryTake(), queue.tryTake(), queue.tryTake()]).toEqual([5, 9, 1]);
    await Promise.all(puts);
  });

  test('an item without a priority is refused at once, and the queue is as it was', async () => {
    const queue = new LocalQueue<{ at: number }>({ capacity: 1, order: { priority: (item) => item.at } });
    await rejection(queue.put({ at: Number.NaN }), 'INVALID_OPTION');
    expect(() => queue.tryPut({ at: Number.NaN })).toThrow(
      /order\.priority of \{ at: NaN \}: expected a number/,
    );

    queue.tryPut({ at: 1 });
    await rejection(queue.put({ at: Number.NaN }), 'INVALID_OPTION');
    expect(queue.size).toBe(1);
  });

  test('an error that order.priority throws is the cause of the rejection', async () => {
    const cause = new Error('no such field');
    const queue = new LocalQueue<number>({
      order: {
        priority: () => {
          throw cause;
        },
      },
    });

    const error = await rejection(queue.put(1), 'INVALID_OPTION');
    expect(error.cause).toBe(cause);
  });
});

describe('ending a wait', () => {
  test('a put that is aborted rejects with the reason and leaves nothing in the queue', async () => {
    const queue = new LocalQueue<number>({ capacity: 1 });
    await queue.put(1);
    const controller = new AbortController();
    const waiting = queue.put(2, { signal: controller.signal });
    controller.abort('changed my mind');

    const error = await rejection(waiting, 'ABORTED');
    expect(error.cause).toBe('changed my mind');
    expect([queue.tryTake(), queue.tryTake()]).toEqual([1, undefined]);
  });

  test('a signal that is aborted already refuses even where there is room or an item', async () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);
    const signal = AbortSignal.abort();

    await rejection(queue.put(2, { signal }), 'ABORTED');
    await rejection(queue.take({ signal }), 'ABORTED');
    await rejection(queue.takeMany(2, { signal }), 'ABORTED');
    await rejection(queue.join({ signal }), 'ABORTED');
    expect(queue.size).toBe(1);
  });

  test('a take that was given its item keeps it, though the signal is aborted before it is looked at', async () => {
    const queue = new LocalQueue<string>();
    const controller = new AbortController();
    const taking = queue.take({ signal: controller.signal });
    queue.tryPut('mine');
    controller.abort();

    expect(await taking).toBe('mine');
  });

  test('a wait that times out says what it waited for and how long', async () => {
    const queue = new LocalQueue<number>({ capacity: 1 });
    const take = await rejection(queue.take({ timeoutMs: 1 }), 'TIMEOUT');
    expect(take.message).toBe('take: no item within 1 ms');

    queue.tryPut(1);
    const put = await rejection(queue.put(2, { timeoutMs: 1 }), 'TIMEOUT');
    expect(put.message).toBe('put: no room (the capacity is 1) within 1 ms');
    await rejection(queue.join({ timeoutMs: 1 }), 'TIMEOUT');
    expect(queue.size).toBe(1);
  });

  test('an item goes to the next in line when the first has given up', async () => {
    const queue = new LocalQueue<string>();
    const controller = new AbortController();
    const first = queue.take({ signal: controller.signal });
    const second = queue.take();
    controller.abort();
    queue.tryPut('a');

    await rejection(first, 'ABORTED');
    expect(await second).toBe('a');
  });
});

describe('close', () => {
  test('takers drain the queue, then get CLOSED', async () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);
    queue.tryPut(2);

    expect(queue.close()).toBe(0);
    expect([queue.closed, queue.size]).toEqual([true, 2]);
    expect([await queue.take(), queue.tryTake()]).toEqual([1, 2]);
    await rejection(queue.take(), 'CLOSED');
    await rejection(queue.takeMany(5), 'CLOSED');
    expect(queue.tryTake()).toBeUndefined();
  });

  test('putters are refused, including waiting ones', async () => {
    const queue = new LocalQueue<number>({ capacity: 1 });
    queue.tryPut(1);
    const waiting = queue.put(2);
    queue.close();

    await rejection(waiting, 'CLOSED');
    await rejection(queue.put(3), 'CLOSED');
    expect(() => queue.tryPut(3)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(await queue.take()).toBe(1);
  });

  test('waiting takers get CLOSED', async () => {
    const queue = new LocalQueue<number>();
    const waiting = [queue.take(), queue.takeMany(2)];
    queue.close();

    for (const wait of waiting) await rejection(wait, 'CLOSED');
  });

  test('with discard everything in the queue is dropped and counted', async () => {
    const queue = new LocalQueue<number>();
    for (const item of [1, 2, 3]) queue.tryPut(item);

    expect(queue.close({ discard: true })).toBe(3);
    expect(queue.size).toBe(0);
    await rejection(queue.take(), 'CLOSED');
  });

  test('a queue that drains can still be discarded', () => {
    const queue = new LocalQueue<number>();
    for (const item of [1, 2, 3]) queue.tryPut(item);
    queue.close();
    queue.tryTake();

    expect(queue.close({ discard: true })).toBe(2);
    expect(queue.close({ discard: true })).toBe(0);
  });
});

describe('join and done', () => {
  test('join resolves when every item was taken and marked done', async () => {
    const queue = new LocalQueue<number>();
    for (const item of [1, 2, 3]) queue.tryPut(item);
    const joined = watch(queue.join());

    await queue.takeMany(3);
    queue.done(2);
    await turn();
    expect(joined.state).toBe('pending');
    queue.done();
    await turn();
    expect(joined.state).toBe('resolved');
  });

  test('join resolves at once if there is nothing to do', async () => {
    await new LocalQueue<number>().join();
  });

  test('an item put while another is being handled keeps join waiting', async () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);
    const joined = watch(queue.join());
    queue.tryTake();
    queue.tryPut(2);
    queue.done();
    await turn();
    expect(joined.state).toBe('pending');

    queue.tryTake();
    queue.done();
    await turn();
    expect(joined.state).toBe('resolved');
  });

  test('an item handed to a waiting take has to be done, too', async () => {
    const queue = new LocalQueue<number>();
    const taking = queue.take();
    queue.tryPut(1);
    await taking;

    await rejection(queue.join({ timeoutMs: 1 }), 'TIMEOUT');
    queue.done();
    await queue.join();
  });

  test('items that are dropped need not be done; those in hand do', async () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);
    queue.tryPut(2);
    queue.tryTake();
    const joined = watch(queue.join());
    queue.close({ discard: true });
    await turn();
    expect(joined.state).toBe('pending');

    queue.done();
    await turn();
    expect(joined.state).toBe('resolved');
  });

  test('done for more items than were taken is an error that says so', () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);
    queue.tryPut(2);
    queue.tryTake();

    expect(() => queue.done(2)).toThrow(/done\(2\): only 1 of the items taken/);
    queue.done();
    expect(() => queue.done()).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

test('a disposed queue is closed, and its items can still be taken', () => {
  const queue = new LocalQueue<number>();
  queue.tryPut(1);
  queue[Symbol.dispose]();
  expect(queue.closed).toBe(true);
  expect(queue.tryTake()).toBe(1);
});

describe('an iterator', () => {
  test('that waits can be closed, and takes no item then', async () => {
    const queue = new LocalQueue<string>();
    const iterator = queue[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next()];
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    for (const next of waiting) expect(await next).toEqual({ done: true, value: undefined });
    await queue.put('precious');
    expect(queue.size).toBe(1);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(queue.tryTake()).toBe('precious');
    queue.done();
    await queue.join();
  });

  test('leaves the waits of others alone when it is closed', async () => {
    const queue = new LocalQueue<number>();
    const [one, other] = [queue[Symbol.asyncIterator](), queue[Symbol.asyncIterator]()];
    const next = one.next();
    const others = [other.next(), queue.take()] as const;
    await one.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    for (const item of [1, 2]) await queue.put(item);
    expect(await others[0]).toEqual({ done: false, value: 1 });
    expect(await others[1]).toBe(2);
  });

  test('is iterable: a loop goes on where `next` left off', async () => {
    const queue = new LocalQueue<string>();
    for (const line of ['header', 'first', 'second']) queue.tryPut(line);
    queue.close();
    const lines = queue[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe('header');
    const rest: string[] = [];
    for await (const line of lines) rest.push(line);
    expect(rest).toEqual(['first', 'second']);
  });

  test('of a stream that is destroyed while it waits swallows no item', async () => {
    const queue = new LocalQueue<string>();
    const stream = Readable.from(queue);
    stream.on('data', () => {});
    await turn();
    stream.destroy();
    await once(stream, 'close');
    await queue.put('precious');
    expect(queue.size).toBe(1);
  });

  test('that lost a race against a timer can be closed', async () => {
    const queue = new LocalQueue<string>();
    const iterator = queue[Symbol.asyncIterator]();
    await Promise.race([iterator.next(), turn()]);
    await iterator.return?.();
    await queue.put('precious');
    expect(queue.size).toBe(1);
  });
});

describe('for await', () => {
  test('the loop ends when the queue is closed and empty', async () => {
    const queue = new LocalQueue<number>({ capacity: 2 });
    const seen: number[] = [];
    const consuming = (async () => {
      for await (const item of queue) seen.push(item);
    })();
    for (let i = 0; i < 10; i++) await queue.put(i);
    queue.close();
    await consuming;

    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('leaving the loop leaves the other items in the queue', async () => {
    const queue = new LocalQueue<number>();
    for (const item of [1, 2, 3]) queue.tryPut(item);
    for await (const item of queue) {
      expect(item).toBe(1);
      break;
    }

    expect(queue.size).toBe(2);
    expect(await queue.take()).toBe(2);
  });

  test('several loops share the items, and each item goes to one', async () => {
    const queue = new LocalQueue<number>({ capacity: 3 });
    const seen: number[][] = [[], [], []];
    const loops = seen.map(async (mine) => {
      for await (const item of queue) mine.push(item);
    });
    for (let i = 0; i < 100; i++) await queue.put(i);
    queue.close();
    await Promise.all(loops);

    expect(seen.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    for (const mine of seen) expect(mine.length).toBeGreaterThan(0);
  });
});

describe('options', () => {
  test.each([
    ['capacity 0', { capacity: 0 }],
    ['a capacity that is no integer', { capacity: 1.5 }],
    ['a capacity that is no number', { capacity: '10' as unknown as number }],
    ['an unknown order', { order: 'random' as 'fifo' }],
    ['an order without priority', { order: {} as 'fifo' }],
    ['a misspelt option', { capcity: 5 } as object],
  ])('%s is refused', (_, options) => {
    expect(() => new LocalQueue(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  test('unusable options of a call are refused without a wait', async () => {
    const queue = new LocalQueue<number>();
    queue.tryPut(1);

    await rejection(queue.put(2, { timeoutMs: -1 }), 'INVALID_OPTION');
    await rejection(queue.take({ timeoutMs: Number.NaN }), 'INVALID_OPTION');
    await rejection(queue.take({ signal: {} as AbortSignal }), 'INVALID_OPTION');
    await rejection(queue.take({ timeout: 5 } as object), 'INVALID_OPTION');
    await rejection(queue.takeMany(0), 'INVALID_OPTION');
    expect(() => queue.done(0)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(() => queue.close({ discard: 1 as unknown as boolean })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
    expect([queue.size, queue.closed]).toEqual([1, false]);
  });
});
