import { medianOf, ratio } from './statistics.mjs';

/** Clients that a user would choose instead; amqplib has targets of its own. */
const PEERS = ['rabbitmq-client', '@cloudamqp/amqp-client', 'amqp-connection-manager', 'rascal'];

const FOLDER = 'millrace, folder';
const BULLMQ = 'BullMQ, Redis, appendfsync always';
const MILLION = 'a million waiting';

/** What millrace is to reach, each as a ratio within one run. `at` says on which side of the limit it has to be. */
export const TARGETS = [
  {
    what: 'LocalQueue, put and take each awaited, beside Node’s object stream',
    ...target('items', 'LocalQueue put and take', 'Node object stream, for await', 'perSecond', 'least', 1.5),
  },
  {
    what: 'LocalQueue, put and take each awaited, beside a bare loop of two awaits',
    ...target('items', 'LocalQueue put and take', 'bare loop, two awaits an item', 'perSecond', 'least', 0.7),
  },
  {
    what: 'LocalQueue, waiting only where it is full, takeMany, beside a bare ring',
    ...target('items', 'LocalQueue takeMany', 'bare ring', 'perSecond', 'least', 0.5),
  },
  {
    what: 'LocalQueue, tryPut and tryTake, beside fastq with callbacks',
    ...target('items', 'LocalQueue tryPut and tryTake', 'fastq callback', 'perSecond', 'least', 0.9),
  },
  {
    what: 'typed API on local:, each send awaited, beside fastq with promises',
    ...target('jobs', 'millrace local: send', 'fastq promise', 'perSecond', 'least', 1),
  },
  {
    what: 'typed API on local:, each send awaited, beside p-queue',
    ...target('jobs', 'millrace local: send', 'p-queue', 'perSecond', 'least', 1),
  },
  ...['quorum', 'classic'].flatMap((type) => [
    {
      what: `RabbitMQ publish, ${type}: messages a second beside amqplib`,
      ...target(`publish-${type}-100`, 'millrace', 'amqplib', 'perSecond', 'least', 0.97),
    },
    {
      what: `RabbitMQ publish, ${type}: CPU a message beside amqplib`,
      ...target(`publish-${type}-100`, 'millrace', 'amqplib', 'cpuUsEach', 'most', 1.25),
    },
    ...PEERS.map((peer) => ({
      what: `RabbitMQ publish, ${type}: CPU a message beside ${peer}`,
      ...target(`publish-${type}-100`, 'millrace', peer, 'cpuUsEach', 'most', 1),
    })),
    {
      what: `RabbitMQ consume, ${type}: messages a second beside amqplib`,
      ...target(`consume-${type}-100`, 'millrace', 'amqplib', 'perSecond', 'least', 1.2),
    },
    {
      what: `RabbitMQ consume, ${type}: CPU a message beside amqplib`,
      ...target(`consume-${type}-100`, 'millrace', 'amqplib', 'cpuUsEach', 'most', 1),
    },
    ...PEERS.map((peer) => ({
      what: `RabbitMQ consume, ${type}: CPU a message beside ${peer}`,
      ...target(`consume-${type}-100`, 'millrace', peer, 'cpuUsEach', 'most', 1),
    })),
    {
      what: `RabbitMQ awaited send, ${type}: median beside amqplib`,
      ...target(`awaited-${type}`, 'millrace', 'amqplib', 'medianUs', 'most', 1.05),
    },
  ]),
  {
    what: 'Folder, durable sends a second beside BullMQ with appendfsync always',
    ...target('disk-sends', FOLDER, BULLMQ, 'perSecond', 'least', 4),
  },
  {
    what: 'Folder, durable sends a second',
    ...target('disk-sends', FOLDER, undefined, 'perSecond', 'least', 110_000),
  },
  {
    what: 'Folder, handled a second beside BullMQ with appendfsync always',
    ...target('disk-handled', FOLDER, BULLMQ, 'perSecond', 'least', 8),
  },
  {
    what: 'Folder, handled and acknowledged a second',
    ...target('disk-handled', FOLDER, undefined, 'perSecond', 'least', 100_000),
  },
  {
    what: 'Folder, from one process to another a second',
    ...target('disk-between', FOLDER, undefined, 'perSecond', 'least', 70_000),
  },
  {
    what: 'Folder, an awaited send beside a bare SQLite insert and commit',
    ...target('disk-awaited', FOLDER, 'one SQLite insert and commit', 'medianUs', 'most', 2.5),
  },
  {
    what: 'Folder, a million waiting: milliseconds to open',
    ...target('disk-waiting', MILLION, undefined, 'openingMs', 'most', 300),
  },
  {
    what: 'Folder, a million waiting: handled a second beside two thousand',
    ...target('disk-waiting', MILLION, 'two thousand waiting', 'perSecond', 'least', 0.8),
  },
  {
    what: 'Folder, a million waiting: MB of the worker without the program’s own pages',
    ...target('disk-worker-memory', MILLION, undefined, 'memoryMb', 'most', 80),
  },
  {
    what: 'Folder, to the idle handler of another process: median microseconds',
    ...target('disk-waking', FOLDER, undefined, 'medianUs', 'most', 5000),
  },
  {
    what: 'Folder, an idle worker: % of a core',
    ...target('disk-waking', FOLDER, undefined, 'idlePercent', 'most', 0.5),
  },
  {
    what: 'Folder, 10 processes on one queue beside 2',
    ...target(
      'disk-crowd',
      '5 that send, 5 that work',
      '1 that sends, 1 that works',
      'perSecond',
      'least',
      1,
    ),
  },
  {
    what: 'Folder, 4 busy processes, an awaited send: the p99 of the worst, in microseconds',
    ...target('disk-contended', '4 processes', undefined, 'p99Us', 'most', 30_000),
  },
  {
    what: 'Folder, 4 busy processes, an awaited send: the worst of all, in microseconds',
    ...target('disk-contended', '4 processes', undefined, 'maxUs', 'most', 200_000),
  },
  {
    what: 'Folder, 4 busy processes: the smallest share, in % of a fair one',
    ...target('disk-contended', '4 processes', undefined, 'sharePercent', 'least', 50),
  },
  {
    what: 'Folder, 10 busy processes, an awaited send: the p99 of the worst, in microseconds',
    ...target('disk-contended', '10 processes', undefined, 'p99Us', 'most', 80_000),
  },
  ...['memory', 'disk'].flatMap((where) =>
    [1, 10, 100].map((width) => ({
      what: `${where === 'disk' ? 'Folder' : 'typed API on local:'}, a copy for each of ${width} subscriptions: CPU beside a send`,
      ...target(
        `fan-out-${where}`,
        `a copy of an event for ${width} subscription${width === 1 ? '' : 's'}`,
        'a send to one queue',
        'cpuUsEach',
        'most',
        1,
      ),
    })),
  ),
  {
    what: 'LocalQueue, a fast producer and a slow consumer: MB grown',
    ...target('memory-local', 'LocalQueue', undefined, 'peakGrowthMb', 'most', 50),
  },
  {
    what: 'typed API on local:, a fast producer and a slow consumer: MB grown',
    ...target('memory-local', 'millrace local: send', undefined, 'peakGrowthMb', 'most', 50),
  },
  {
    what: 'RabbitMQ, a fast producer and a slow consumer: MB grown',
    ...target('memory-rabbitmq', 'millrace', undefined, 'peakGrowthMb', 'most', 50),
  },
];

function target(workload, subject, reference, figure, at, limit) {
  return { workload, subject, reference, figure, at, limit };
}

/** What became of the targets whose workloads a run measured. */
export function judge(run) {
  return TARGETS.flatMap((each) => {
    const results = run.workloads.find(({ id }) => id === each.workload)?.results ?? [];
    const ours = runsOf(results, each.subject);
    const theirs = runsOf(results, each.reference);
    if (ours.length === 0 || (each.reference !== undefined && theirs.length === 0)) return [];
    const reached =
      each.reference === undefined ? medianOf(ours, each.figure) : ratio(ours, theirs, each.figure);
    return [{ ...each, reached, met: each.at === 'least' ? reached >= each.limit : reached <= each.limit }];
  });
}

function runsOf(results, subject) {
  return results.find((result) => result.subject === subject)?.runs ?? [];
}
