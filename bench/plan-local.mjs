/** What is measured in process. Every workload has one reference, which the others are compared with. */
import { memoryFanOut } from './plan-fan-out.mjs';
import { memoryLater } from './plan-later.mjs';
import { localMemory } from './plan-memory.mjs';

const queue = 'in-process/local-queue.mjs';
const typed = 'in-process/millrace-local.mjs';
const bare = 'in-process/bare.mjs';
const fastq = 'in-process/fastq.mjs';
const pQueue = 'in-process/p-queue.mjs';
const asyncJs = 'in-process/async.mjs';
const henrygd = 'in-process/henrygd-queue.mjs';

const PRICED = [
  'nothing',
  'nothing, once more',
  'a string schema',
  'the JSON codec',
  'the structured codec',
  'the structured codec, with a date and a set',
  'the JSON codec and an object schema',
  'a handler time limit off',
  'a retry of every tenth message',
  'an empty list of functions around it',
  'a function around it',
  'observe',
  'a logger',
  'tracing, with a listener',
  'metrics',
  'OpenTelemetry without an SDK',
  'OpenTelemetry, exported to nowhere',
  'the page, watched by nobody',
];

/** @returns {import('./workload.js').Workload[]} */
export function localWorkloads({ quick }) {
  const million = quick ? 50_000 : 1_000_000;
  const slow = quick ? 20_000 : 200_000;
  const options = (count) => ({ options: { count } });
  return [
    {
      id: 'items',
      title: 'Items from one task to another, at most 1024 waiting',
      figure: 'perSecond',
      reference: 'Node object stream, for await',
      rounds: quick ? 1 : 9,
      subjects: [
        { subject: 'bare ring', module: bare, run: 'ring', ...options(million), kind: 'floor' },
        {
          subject: 'bare loop, two awaits an item',
          module: bare,
          run: 'twoAwaits',
          ...options(million),
          kind: 'floor',
        },
        {
          subject: 'LocalQueue put and take',
          module: queue,
          run: 'putTake',
          ...options(million),
          kind: 'ours',
        },
        {
          subject: 'LocalQueue for await',
          module: queue,
          run: 'iteration',
          ...options(million),
          kind: 'ours',
        },
        { subject: 'LocalQueue takeMany', module: queue, run: 'takeMany', ...options(million), kind: 'ours' },
        {
          subject: 'LocalQueue tryPut and tryTake',
          module: queue,
          run: 'tryPutTryTake',
          ...options(million),
          kind: 'ours',
        },
        {
          subject: 'Node object stream, for await',
          module: 'in-process/node-stream.mjs',
          run: 'iteration',
          ...options(million),
        },
        {
          subject: 'Node object stream, data events',
          module: 'in-process/node-stream.mjs',
          run: 'dataEvents',
          ...options(million),
        },
        {
          subject: 'web streams',
          module: 'in-process/web-stream.mjs',
          run: 'readyAndRead',
          ...options(slow),
        },
        { subject: 'fastq callback', module: fastq, run: 'callback', ...options(million) },
        {
          subject: 'fastq callback, 1024 waiting',
          module: fastq,
          run: 'callbackFilled',
          ...options(million),
        },
      ],
    },
    {
      id: 'jobs',
      title: 'Messages to a handler, each send awaited',
      figure: 'perSecond',
      reference: 'fastq promise',
      rounds: quick ? 1 : 7,
      subjects: [
        { subject: 'millrace local: send', module: typed, run: 'sendEach', ...options(slow), kind: 'ours' },
        {
          subject: 'millrace local: send, short texts',
          module: typed,
          run: 'sendEachText',
          ...options(slow),
          kind: 'ours',
        },
        { subject: 'fastq promise', module: fastq, run: 'pushEach', ...options(million) },
        { subject: 'p-queue', module: pQueue, run: 'addEach', ...options(slow) },
        { subject: 'async.queue', module: asyncJs, run: 'pushEach', ...options(million) },
        { subject: '@henrygd/queue', module: henrygd, run: 'addEach', ...options(million) },
      ],
    },
    {
      id: 'jobs-window',
      title: 'Messages to a handler, about a thousand under way',
      figure: 'perSecond',
      reference: 'fastq promise',
      rounds: quick ? 1 : 5,
      subjects: [
        {
          subject: 'millrace local: sendMany',
          module: typed,
          run: 'sendMany',
          ...options(slow),
          kind: 'ours',
        },
        { subject: 'fastq promise', module: fastq, run: 'pushMany', ...options(million) },
        { subject: 'p-queue', module: pQueue, run: 'addBounded', ...options(slow) },
        { subject: 'async.queue', module: asyncJs, run: 'pushMany', ...options(million) },
        { subject: '@henrygd/queue', module: henrygd, run: 'addMany', ...options(million) },
      ],
    },
    ...[1, 10, 100].map((tasks) => ({
      id: `fan-${tasks}`,
      title: `${tasks} ${tasks === 1 ? 'producer and 1 consumer' : `producers and ${tasks} consumers`}`,
      figure: 'perSecond',
      reference: 'fastq promise',
      rounds: quick ? 1 : 3,
      subjects: [
        { subject: 'LocalQueue put and take', module: queue, run: 'fan', kind: 'ours' },
        { subject: 'millrace local: send', module: typed, run: 'fan', kind: 'ours' },
        { subject: 'fastq promise', module: fastq, run: 'fan' },
        { subject: 'p-queue', module: pQueue, run: 'fan' },
        { subject: '@henrygd/queue', module: henrygd, run: 'fan' },
      ].map((subject) => ({ ...subject, options: { count: slow, tasks } })),
    })),
    ...[10, 1000, 100_000, 1_000_000].map((depth) => ({
      id: `backlog-${depth}`,
      title: `Filled with ${depth.toLocaleString('en')} items and emptied`,
      figure: 'cpuUsEach',
      reference: 'fastq promise',
      // The slowest takes minutes for a million.
      limitMs: 15_000,
      rounds: quick ? 1 : depth < 1_000_000 ? 3 : 2,
      subjects: [
        { subject: 'LocalQueue', module: queue, run: 'backlog', kind: 'ours' },
        { subject: 'LocalQueue by priority', module: queue, run: 'priorityBacklog', kind: 'ours' },
        { subject: 'millrace local: send', module: typed, run: 'backlog', kind: 'ours' },
        { subject: 'fastq promise', module: fastq, run: 'backlog' },
        { subject: 'p-queue', module: pQueue, run: 'backlog' },
        { subject: 'p-queue by priority', module: pQueue, run: 'priorityBacklog' },
        { subject: 'async.queue', module: asyncJs, run: 'backlog' },
        { subject: 'async.priorityQueue', module: asyncJs, run: 'priorityBacklog' },
      ]
        .filter(() => !quick || depth <= 1000)
        .map((subject) => ({
          ...subject,
          options: { depth, count: Math.max(depth, depth === 10 ? slow / 10 : slow) },
        })),
    })),
    {
      id: 'price',
      title: 'The price of what is added to a message, on the broker in memory',
      figure: 'cpuUsEach',
      reference: 'nothing',
      // What is measured is less than what one process differs from the next.
      fresh: true,
      rounds: quick ? 1 : 9,
      subjects: PRICED.map((part) => ({
        subject: part,
        module: 'in-process/price.mjs',
        run: 'withPart',
        options: { count: slow, part },
        kind: 'ours',
      })),
    },
    memoryFanOut({ quick }),
    ...memoryLater({ quick }),
    localMemory({ quick }),
  ].filter(({ subjects }) => subjects.length > 0);
}
