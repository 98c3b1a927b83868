import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LeaseTable } from '../../../src/local-queue/disk/lease-table.js';
import type { MessageState } from '../../../src/local-queue/disk/message-state.js';
import { ReadyTable } from '../../../src/local-queue/disk/ready-table.js';
import { closeTables, openTables, type Tables, transact } from '../../../src/local-queue/disk/tables.js';
import { newFolder } from './folders.js';

const QUEUES = [1, 2];

async function withTables(work: (tables: Tables) => void | Promise<void>): Promise<void> {
  const tables = openTables(join(newFolder(), 'queue.mdb'));
  try {
    await work(tables);
  } finally {
    await closeTables(tables);
  }
}

function stateOf(seq: number, changes: Partial<MessageState> = {}): MessageState {
  return { seq, place: seq, priority: 0, attempt: 1, returns: 0, redelivered: false, ...changes };
}

/** Empties the tables, so that all examples of a property can use the same store. */
function clear({ ready, leases }: Tables): void {
  for (const table of [ready, leases]) for (const key of [...table.getKeys()]) table.removeSync(key);
}

test('leases of messages that follow each other are one entry, in whatever order they end', () =>
  withTables((tables) => {
    const leases = new LeaseTable(tables.leases);
    const inOneGo = (work: () => void): void =>
      transact(tables, () => {
        work();
        leases.flush();
      });
    inOneGo(() => {
      for (let seq = 1; seq <= 1000; seq++) leases.begin(7, 1, stateOf(seq));
    });
    expect(tables.leases.getCount()).toBe(1);
    inOneGo(() => leases.end(7, 1, 500));
    expect(tables.leases.getCount()).toBe(2);
    inOneGo(() => {
      for (let seq = 1; seq < 500; seq += 2) leases.end(7, 1, seq);
      for (let seq = 498; seq > 1; seq -= 2) leases.end(7, 1, seq);
    });
    expect(tables.leases.getCount()).toBe(1);
    expect(leases.of(7, 1)).toEqual([{ queueId: 1, seq: 501, state: stateOf(501) }]);
    expect(leases.of(7, 1000).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 500 }, (_, at) => 501 + at),
    );
  }));

test('leases are those that began and have not ended, for any course of transactions', () =>
  withTables((tables) => {
    const step = fc.oneof(
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('begin' as const),
          owner: fc.integer({ min: 1, max: 3 }),
          queue: fc.constantFrom(...QUEUES),
          from: fc.integer({ min: 1, max: 40 }),
          count: fc.integer({ min: 1, max: 12 }),
          redelivered: fc.boolean(),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('end' as const),
          /** Which of those that are leased: in order from there, or each for itself. */
          which: fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
          run: fc.integer({ min: 1, max: 12 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const leases = new LeaseTable(tables.leases);
        transact(tables, () => clear(tables));
        let stored = new Map<string, [owner: number, queue: number, state: MessageState]>();
        let current = new Map(stored);
        let pending: (() => void)[] = [];
        const commit = (): void => {
          transact(tables, () => {
            for (const apply of pending) apply();
            leases.flush();
          });
          pending = [];
          stored = new Map(current);
        };
        for (const each of steps) {
          if (each.kind === 'begin') {
            for (let seq = each.from; seq < each.from + each.count; seq++) {
              const key = `${each.queue} ${seq}`;
              // A message is leased once at a time.
              if (current.has(key)) continue;
              const state = stateOf(seq, { redelivered: each.redelivered });
              current.set(key, [each.owner, each.queue, state]);
              pending.push(() => leases.begin(each.owner, each.queue, state));
            }
          } else if (each.kind === 'end') {
            for (const start of each.which) {
              const all = [...current].sort(([, [, q1, s1]], [, [, q2, s2]]) => q1 - q2 || s1.seq - s2.seq);
              const from = all.length === 0 ? 0 : start % all.length;
              for (const [key, [owner, queue, state]] of all.slice(from, from + each.run)) {
                current.delete(key);
                pending.push(() => leases.end(owner, queue, state.seq));
              }
            }
          } else if (each.kind === 'commit') {
            commit();
          } else {
            expect(() =>
              transact(tables, () => {
                for (const apply of pending) apply();
                throw new Error('on purpose');
              }),
            ).toThrow('on purpose');
            leases.discard();
            pending = [];
            current = new Map(stored);
          }
        }
        commit();
        const expected = [...stored.values()]
          .map(([owner, queueId, state]) => ({ owner, queueId, seq: state.seq, state }))
          .sort((a, b) => a.owner - b.owner || a.queueId - b.queueId || a.seq - b.seq);
        const found = leases
          .owners()
          .flatMap((owner) => leases.of(owner, 10_000).map((lease) => ({ owner, ...lease })));
        expect(found).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  }));

test('lines are what was added and not taken, in the order of their places, for any course of steps', () =>
  withTables((tables) => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('add' as const),
        queue: fc.constantFrom(...QUEUES),
        priority: fc.constantFrom(0, 5),
        count: fc.integer({ min: 1, max: 12 }),
      }),
      fc.record({
        kind: fc.constant('take' as const),
        queue: fc.constantFrom(...QUEUES),
        count: fc.integer({ min: 1, max: 15 }),
      }),
      // What was taken goes back to its place, in any order.
      fc.record({ kind: fc.constant('return' as const), which: fc.array(fc.nat(), { maxLength: 10 }) }),
      fc.record({ kind: fc.constant('flush' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ready = new ReadyTable(tables.ready);
        const lines = new Map(QUEUES.map((queue) => [queue, [] as MessageState[]]));
        const taken: [queue: number, state: MessageState][] = [];
        let last = 0;
        const add = (queue: number, state: MessageState): void => {
          ready.add(queue, state);
          const line = lines.get(queue) as MessageState[];
          line.push(state);
          line.sort((a, b) => b.priority - a.priority || a.place - b.place);
        };
        transact(tables, () => {
          clear(tables);
          for (const each of steps) {
            if (each.kind === 'add') {
              for (let index = 0; index < each.count; index++)
                add(each.queue, stateOf(++last, { priority: each.priority }));
            } else if (each.kind === 'return') {
              for (const index of each.which) {
                const [back] = taken.length === 0 ? [] : taken.splice(index % taken.length, 1);
                if (back !== undefined) add(back[0], { ...back[1], redelivered: true });
              }
            } else if (each.kind === 'take') {
              let room = each.count;
              for (const entry of ready.first(each.queue, room)) {
                const count = Math.min(entry.span?.count ?? 1, room);
                ready.take(each.queue, entry, count);
                room -= count;
              }
              const gone = (lines.get(each.queue) as MessageState[]).splice(0, each.count);
              expect(each.count - room).toBe(gone.length);
              for (const state of gone) taken.push([each.queue, state]);
            } else ready.flush();
          }
          for (const queue of QUEUES) {
            const found = ready
              .first(queue, 10_000)
              .flatMap(({ span }) =>
                Array.from({ length: span?.count ?? 0 }, (_, index) => (span?.first.seq ?? 0) + index),
              );
            expect(found).toEqual(lines.get(queue)?.map(({ seq }) => seq));
          }
        });
      }),
      { numRuns: 300 },
    );
  }));
