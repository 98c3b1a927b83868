import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { defineExchange } from '../../../../src/exchange.js';
import { MessageWriter } from '../../../../src/local-queue/disk/message-lists.js';
import type { Reply, Request } from '../../../../src/local-queue/disk/protocol.js';
import { ExitGuard, Statement } from '../../../../src/local-queue/disk/store/sqlite.js';
import { Store } from '../../../../src/local-queue/disk/store/store.js';
import type { StoreState } from '../../../../src/local-queue/disk/store/store-state.js';
import {
  type TransactionResult,
  WriteTransaction,
} from '../../../../src/local-queue/disk/store/transaction.js';
import { WriteLock } from '../../../../src/local-queue/disk/store/write-lock.js';
import { defineQueue } from '../../../../src/queue.js';
import { inDatabase, newFolder } from '../folders.js';

afterEach(() => {
  vi.restoreAllMocks();
});

type Op =
  | { readonly do: 'publish'; readonly to: 'a' | 'b' | 'events'; readonly count: number }
  | { readonly do: 'subscribe'; readonly queue: 'a' | 'b'; readonly prefetch: number }
  | {
      readonly do: 'cancel' | 'unsubscribe' | 'ack' | 'release' | 'retry' | 'dead-letter';
      readonly nth: number;
    }
  | { readonly do: 'purge' | 'remove'; readonly queue: 'a.dead' | 'b' };

const nth = fc.nat({ max: 20 });
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      to: fc.constantFrom('a', 'b', 'events'),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('subscribe' as const),
      queue: fc.constantFrom('a', 'b'),
      prefetch: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('ack', 'release', 'retry', 'dead-letter', 'dead-letter'),
      nth,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('cancel', 'unsubscribe'), nth }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('purge', 'remove'), queue: fc.constantFrom('a.dead', 'b') }),
  },
) as fc.Arbitrary<Op>;

/** A transaction. `failsAt`: the statement in it that fails; 0: none. `losesLease`: others take its messages before. */
const step = fc.record({
  ops: fc.array(op, { minLength: 1, maxLength: 3 }),
  failsAt: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 })),
  losesLease: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
});

/** The state of the store thread, as far as a failed transaction may not change it. */
function picture({ owner, tickets, subscribers, waiting, fanOuts }: StoreState) {
  return {
    owner,
    tickets: [...tickets.keys()].sort((a, b) => a - b),
    subscribers: [...subscribers.values()]
      .map(({ id, active, unsettled, settledAt }) => ({
        id,
        active,
        settledAt,
        unsettled: [...unsettled].sort((a, b) => a - b),
      }))
      .sort((a, b) => a.id - b.id),
    waiting: Object.fromEntries([...waiting].map(([queue, line]) => [queue, [...line.keys()]])),
    fanOuts: fanOuts.size,
  };
}

type Picture = ReturnType<typeof picture>;

/** What had waited, and is refused, waits no longer. */
function without(
  { waiting, fanOuts, ...rest }: Picture,
  refused: ReadonlySet<number>,
  events: ReadonlySet<number>,
): Picture {
  const lines = Object.entries(waiting).map(
    ([queue, ids]) => [queue, ids.filter((id) => !refused.has(id))] as const,
  );
  return {
    ...rest,
    waiting: Object.fromEntries(lines.filter(([, ids]) => ids.length > 0)),
    fanOuts: fanOuts - [...events].filter((id) => refused.has(id)).length,
  };
}

/** A store whose statements fail on demand, and the requests to it that are not answered yet. */
class FailingStore {
  readonly folder = newFolder();
  readonly answers = new Map<number, number>();
  readonly #store: Store;
  #state: StoreState | undefined;
  #failsAt = 0;
  #lastId = 0;
  #subscriptions: number[] = [];
  #tickets: number[] = [];
  /** Events that may wait. */
  readonly #events = new Set<number>();

  constructor() {
    const failIfDue = () => {
      if (this.#failsAt === 0 || --this.#failsAt > 0) return;
      throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 10 });
    };
    const { run, all } = Statement.prototype;
    vi.spyOn(Statement.prototype, 'run').mockImplementation(function (this: Statement, ...values) {
      failIfDue();
      return run.apply(this, values);
    });
    vi.spyOn(Statement.prototype, 'all').mockImplementation(function (this: Statement, ...values) {
      failIfDue();
      return all.apply(this, values);
    });
    const { fail } = WriteTransaction.prototype;
    const learn = (state: StoreState) => {
      this.#state = state;
    };
    vi.spyOn(WriteTransaction.prototype, 'fail').mockImplementation(function (this: WriteTransaction) {
      learn(this.state);
      fail.call(this);
    });
    this.#store = new Store(this.folder, 30_000, new WriteLock(new ExitGuard()));
    const bindings = [{ exchange: defineExchange('events'), routingKey: '#' }];
    const specs = [
      defineQueue('a', z.string(), { capacity: 2, deadLetter: { capacity: 1 }, bindings }).spec,
      defineQueue('b', z.string(), { capacity: 1, deadLetter: false, bindings }).spec,
    ];
    for (const spec of specs) this.#apply([{ kind: 'declare', id: this.#id(), spec }]);
    this.#failsAt = 1;
    this.#apply([{ kind: 'settled', id: this.#id() }]);
  }

  run({ ops, failsAt, losesLease }: { ops: readonly Op[]; failsAt: number; losesLease: boolean }): void {
    if (losesLease) inDatabase(this.folder, 'UPDATE owners SET gone = 1');
    const events = new Set(this.#events);
    const requests = ops.flatMap((one) => this.#requests(one));
    const state = this.#state as StoreState;
    const before = picture(state);
    this.#failsAt = failsAt;
    const { reply, failed } = this.#apply(requests);
    const hasFailed = failsAt > 0 && this.#failsAt === 0;
    this.#failsAt = 0;
    if (hasFailed) {
      const refused = new Set(reply.refused.map(({ id }) => id));
      expect(picture(state)).toEqual(without(before, refused, events));
      expect([...reply.done, ...reply.deliveries, ...reply.lost]).toEqual([]);
    }
    // As the store thread does.
    if (failed.length > 0) this.#take(this.#store.settle(failed));
  }

  /** Runs each transaction at every point of which it may fail, until it succeeds. */
  runAtEachStatement(ops: readonly Op[], losesLease = false): void {
    const state = this.#state as StoreState;
    const requests = ops.flatMap((one) => this.#requests(one));
    if (losesLease) inDatabase(this.folder, 'UPDATE owners SET gone = 1');
    const before = picture(state);
    for (let statement = 1; ; statement++) {
      this.#failsAt = statement;
      const result = this.#store.settle(requests);
      if (this.#failsAt > 0) {
        this.#failsAt = 0;
        this.#take(result);
        return;
      }
      expect(picture(state), `statement ${statement}`).toEqual(before);
    }
  }

  /** Ends it. Every request has had one answer, and every message is counted. */
  finish(): void {
    for (const subscription of this.#subscriptions)
      this.#apply([{ kind: 'unsubscribe', id: this.#id(), subscription }]);
    for (const id of this.#store.giveUp(new Set(this.answers.keys()))) this.#answered(id);
    this.#apply([{ kind: 'close', id: this.#id() }]);
    this.#store.close();
    expect([...this.answers].filter(([, count]) => count !== 1)).toEqual([]);
    const [counts] = inDatabase(
      this.folder,
      `SELECT (SELECT total(held) FROM queues WHERE name IS NOT NULL) AS held, (SELECT total(ready) FROM queues WHERE name IS NOT NULL) AS ready,
        (SELECT count(*) FROM messages m JOIN queues q ON q.id = m.queue WHERE q.name IS NOT NULL) AS messages,
        (SELECT count(*) FROM messages m JOIN queues q ON q.id = m.queue WHERE q.name IS NOT NULL AND m.owner IS NULL AND m.due IS NULL) AS deliverable`,
    ) as { held: number; ready: number; messages: number; deliverable: number }[];
    expect({ held: counts?.held, ready: counts?.ready }).toEqual({
      held: counts?.messages,
      ready: counts?.deliverable,
    });
  }

  get picture(): Picture | undefined {
    return this.#state && picture(this.#state);
  }

  #id(): number {
    this.answers.set(++this.#lastId, 0);
    return this.#lastId;
  }

  #requests(one: Op): Request[] {
    switch (one.do) {
      case 'publish':
        return [this.#publish(one.to, one.count)];
      case 'subscribe': {
        const id = this.#id();
        this.#subscriptions.push(id);
        return [
          {
            kind: 'subscribe',
            id,
            subscription: id,
            queue: one.queue,
            prefetch: one.prefetch,
            inspects: false,
          },
        ];
      }
      case 'purge':
      case 'remove':
        return [{ kind: one.do, id: this.#id(), queue: one.queue }];
      case 'cancel':
      case 'unsubscribe': {
        const subscription = this.#subscriptions[one.nth % Math.max(1, this.#subscriptions.length)];
        return subscription === undefined ? [] : [{ kind: one.do, id: this.#id(), subscription }];
      }
      default: {
        const [ticket] = this.#tickets.splice(one.nth % Math.max(1, this.#tickets.length), 1);
        if (ticket === undefined) return [];
        const failure = { code: 'failed', error: 'no' } as const;
        if (one.do === 'ack') return [{ kind: 'ack', tickets: [ticket] }];
        if (one.do === 'release') return [{ kind: 'release', tickets: [ticket], undelivered: false }];
        if (one.do === 'retry') return [{ kind: 'retry', id: this.#id(), ticket, delayMs: 0, failure }];
        return [{ kind: 'dead-letter', id: this.#id(), ticket, failure }];
      }
    }
  }

  #publish(to: string, count: number): Request {
    const writer = new MessageWriter();
    const ids = Array.from({ length: count }, () => this.#id());
    for (const id of ids) {
      writer.append({ id: `m${id}`, contentType: '', headers: {}, body: 'text' });
      if (to === 'events') this.#events.add(id);
    }
    return {
      kind: 'publish',
      exchanges: [to === 'events' ? 'events' : ''],
      routingKeys: [to === 'events' ? 'key' : to],
      ids,
      target: ids.map(() => 0),
      flags: ids.map(() => 0),
      due: new Map(),
      messages: writer.finish(),
      size: 10,
    };
  }

  #apply(requests: readonly Request[]): TransactionResult {
    return this.#take(this.#store.apply(requests));
  }

  #take(result: TransactionResult): TransactionResult {
    const { done, unrouted, answers, refused, deliveries }: Reply = result.reply;
    for (const id of [...done, ...unrouted]) this.#answered(id);
    for (const { id } of [...answers, ...refused]) this.#answered(id);
    for (const { tickets } of deliveries) this.#tickets.push(...tickets);
    expect(result.reply.fatal).toBeUndefined();
    return result;
  }

  #answered(id: number): void {
    this.answers.set(id, (this.answers.get(id) ?? 0) + 1);
    this.#events.delete(id);
  }
}

test('a transaction that fails leaves the state as it was, and no request without its answer', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 60 }), (steps) => {
      const store = new FailingStore();
      try {
        for (const one of steps) store.run(one);
        store.finish();
      } finally {
        vi.restoreAllMocks();
      }
    }),
    { numRuns: 3 },
  );
});

test.each([false, true])(
  'dead letters that wait for room are as they were when the end of their subscription fails (lease lost: %s)',
  (losesLease) => {
    const store = new FailingStore();
    const ops: Op[][] = [
      [{ do: 'subscribe', queue: 'a', prefetch: 4 }],
      [{ do: 'publish', to: 'a', count: 1 }],
      [{ do: 'dead-letter', nth: 0 }],
      [{ do: 'publish', to: 'a', count: 2 }],
      [
        { do: 'dead-letter', nth: 0 },
        { do: 'dead-letter', nth: 0 },
      ],
    ];
    for (const some of ops) store.run({ ops: some, failsAt: 0, losesLease: false });
    expect(store.picture?.waiting).toMatchObject({ 'a.dead': [expect.any(Number), expect.any(Number)] });
    store.runAtEachStatement(losesLease ? [] : [{ do: 'unsubscribe', nth: 0 }], losesLease);
    expect(store.picture?.waiting).toEqual({});
    store.finish();
  },
);
