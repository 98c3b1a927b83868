import { CONCURRENCY, WINDOW } from './disk/window.mjs';
import { diskFanOut } from './plan-fan-out.mjs';
import { diskLater } from './plan-later.mjs';

/** What is measured of queues that survive a restart. Every workload has one reference, which the others are compared with. */

/**
 * What is stored where, and what a confirmed message survives: told in the name, since it decides the speed.
 *
 * @type {{ subject: string, client: string, at: string, kind?: string, fewer?: number, least?: number }[]}
 */
const SUBJECTS = [
  { subject: 'millrace, folder', client: 'millrace', at: 'folder', kind: 'ours' },
  { subject: 'BullMQ, Redis, appendfsync always', client: 'bullmq', at: 'redisAlways', fewer: 4 },
  { subject: 'BullMQ, Redis, appendfsync everysec', client: 'bullmq', at: 'redisEverySecond', fewer: 4 },
  { subject: 'NATS JetStream, file, not flushed', client: 'jetstream', at: 'nats', fewer: 4 },
  // It takes lists of up to a thousand: fewer messages than two of them would all arrive at one moment.
  { subject: 'pg-boss, PostgreSQL', client: 'pg-boss', at: 'postgres', fewer: 20, least: 2 * WINDOW },
  { subject: 'plainjob, SQLite, not flushed', client: 'plainjob', at: 'folder', fewer: 20 },
];

export const REFERENCE = 'BullMQ, Redis, appendfsync always';
const FLOOR = 'one SQLite insert and commit';

/** @returns {import('./workload.js').Workload[]} */
export function diskWorkloads({ quick }, places) {
  const there = SUBJECTS.filter(({ at }) => places[at] !== undefined);
  const [ours] = there;
  const reference = places.redisAlways === undefined ? ours.subject : REFERENCE;
  const subjectOf = (
    /** @type {typeof SUBJECTS[number]} */ { subject, client, at, kind, fewer = 1, least = 1 },
    module,
    run,
    /** @type {{ count?: number, warmUpCount?: number, [name: string]: unknown }} */
    { count, warmUpCount, ...options },
  ) => ({
    subject,
    ...(kind && { kind }),
    module,
    run,
    options: {
      place: places[at],
      client,
      ...(count && { count: Math.max(least, Math.ceil(count / fewer)) }),
      ...(warmUpCount && { warmUpCount: Math.ceil(warmUpCount / fewer) }),
      ...options,
    },
  });
  const subjects = (run, options, clients = there) =>
    clients.map((each) => subjectOf(each, 'disk/work.mjs', run, options));
  const several = (subject, run, options) => ({
    ...subjectOf(ours, 'disk/processes.mjs', run, options),
    subject,
  });
  const betweenable = there.filter(
    ({ client }) => client === 'millrace' || client === 'bullmq' || client === 'jetstream',
  );
  const crowdOf = (pairs) => ({
    pairs,
    // Each process has as many as with one pair, since V8 compiles in each of them.
    count: quick ? 4000 : pairs * 100_000,
    ...(quick && { warmUp: 400 }),
  });
  const awaited = quick ? { count: 300, warmUpCount: 500 } : { count: 3000, warmUpCount: 3000 };
  const few = 2000;
  const many = quick ? 20_000 : 1_000_000;
  const waitingCount = quick ? 2000 : 100_000;
  return [
    {
      id: 'disk-flow',
      title: '100 bytes',
      parts: {
        sends: 'Durable sends, 1000 under way: 100 bytes',
        handled: 'Handled and acknowledged, 100 at once: 100 bytes',
      },
      partNames: { sends: 'publish', handled: 'consume' },
      figure: 'perSecond',
      moreFigures: ['cpuUsEach'],
      reference,
      rounds: quick ? 1 : 5,
      subjects: subjects('publishThenConsume', {
        count: quick ? 2000 : 60_000,
        warmUpCount: quick ? 2000 : 60_000,
      }),
    },
    {
      id: 'disk-awaited',
      title: 'One awaited durable send after the other: 100 bytes',
      figure: 'medianUs',
      moreFigures: ['p99Us', 'cpuUsEach'],
      reference: FLOOR,
      rounds: quick ? 1 : 5,
      subjects: [
        {
          subject: FLOOR,
          kind: 'floor',
          module: 'disk/bare-insert.mjs',
          run: 'bareInsert',
          options: { place: places.folder, ...awaited },
        },
        ...subjects('awaitedSends', awaited),
      ],
    },
    {
      id: 'disk-between',
      title: 'From one process to another, at the same time: 100 bytes',
      figure: 'perSecond',
      reference,
      rounds: quick ? 1 : 5,
      subjects: betweenable.map((each) =>
        subjectOf(each, 'disk/processes.mjs', 'between', { count: quick ? 4000 : 200_000 }),
      ),
    },
    {
      id: 'disk-waiting',
      title: 'With a million messages waiting: opening, and handling a thousand at a time',
      figure: 'perSecond',
      moreFigures: ['openingMs'],
      reference: 'two thousand waiting',
      limitMs: 300_000,
      rounds: quick ? 1 : 3,
      subjects: [
        several('two thousand waiting', 'waiting', { waiting: few, count: waitingCount }),
        several(quick ? 'twenty thousand waiting' : 'a million waiting', 'waiting', {
          waiting: many,
          count: waitingCount,
        }),
      ],
    },
    {
      id: 'disk-worker-memory',
      title: 'A worker that handles a hundred at a time: memory without the program’s own pages',
      figure: 'memoryMb',
      reference: 'two thousand waiting',
      limitMs: 300_000,
      rounds: quick ? 1 : 3,
      subjects: [
        [few, 'two thousand waiting'],
        [many, quick ? 'twenty thousand waiting' : 'a million waiting'],
      ].map(([waiting, subject]) =>
        several(subject, 'waiting', { waiting, count: waitingCount, prefetch: CONCURRENCY }),
      ),
    },
    {
      id: 'disk-waking',
      title: 'From an awaited send to the handler of an idle process',
      figure: 'medianUs',
      moreFigures: ['p99Us', 'idlePercent'],
      reference: ours.subject,
      rounds: quick ? 1 : 3,
      subjects: [several(ours.subject, 'waking', { count: quick ? 10 : 100, idleSeconds: quick ? 1 : 5 })],
    },
    {
      id: 'disk-crowd',
      title: 'Several processes that send and as many that work, on one queue',
      figure: 'perSecond',
      reference: '1 that sends, 1 that works',
      limitMs: 120_000,
      rounds: quick ? 1 : 3,
      subjects: [
        ...[1, 2, 5].map((pairs) => several(pairsText(pairs), 'crowd', crowdOf(pairs))),
        // What several processes on one database cost without a queue's work.
        ...[1, 5].map((pairs) => ({
          subject: `bare SQLite: ${pairsText(pairs)}`,
          kind: 'floor',
          module: 'disk/processes.mjs',
          run: 'crowd',
          options: { place: places.folder, client: 'bare-sqlite', ...crowdOf(pairs) },
        })),
      ],
    },
    {
      id: 'disk-contended',
      title: 'Several processes that send one awaited message after the other: the worst process of each',
      figure: 'p99Us',
      moreFigures: ['medianUs', 'maxUs', 'sharePercent'],
      reference: '1 process',
      rounds: quick ? 1 : 3,
      subjects: [1, 4, 10].map((senders) =>
        several(senders === 1 ? '1 process' : `${senders} processes`, 'contended', {
          senders,
          seconds: quick ? 1 : 5,
        }),
      ),
    },
    diskFanOut({ quick }, places.folder),
    ...diskLater({ quick }, places.folder),
  ];
}

function pairsText(pairs) {
  return pairs === 1 ? '1 that sends, 1 that works' : `${pairs} that send, ${pairs} that work`;
}
