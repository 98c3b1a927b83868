/** What is measured on RabbitMQ. Every workload has one reference, which the others are compared with. */
import { rabbitMqFanOut } from './plan-fan-out.mjs';
import { rabbitMqLater } from './plan-later.mjs';
import { rabbitMqMemory } from './plan-memory.mjs';

const CLIENTS = [
  { subject: 'millrace', client: 'millrace', kind: 'ours' },
  { subject: 'amqplib', client: 'amqplib' },
  { subject: 'amqplib, zod, JSON and labels by hand', client: 'amqplib-by-hand' },
  { subject: 'rabbitmq-client', client: 'rabbitmq-client' },
  { subject: '@cloudamqp/amqp-client', client: 'cloudamqp' },
  { subject: 'amqp-connection-manager', client: 'amqp-connection-manager' },
  { subject: 'rascal', client: 'rascal' },
];

/** The same message as ours: tells what the broker's share in the difference is. */
const LABELLED = { subject: 'amqplib, labels', client: 'amqplib-labels' };

/** Rascal publishes a few thousand messages a second: fewer of them take as long as the others' many. */
const FEWER = { rascal: 20 };

const RECONNECTING = ['millrace', 'rabbitmq-client', 'amqp-connection-manager', 'rascal'];

/** @returns {import('./workload.js').Workload[]} */
export function rabbitMqWorkloads({ quick }, url) {
  const subjects = (run, { count, warmUpCount, fewer = {} }, options, clients = CLIENTS) =>
    clients.map(({ client, ...subject }) => {
      const part = (messages) => Math.ceil(messages / (fewer[client] ?? 1));
      const counts = { count: part(count), warmUpCount: part(warmUpCount) };
      return {
        ...subject,
        module: 'rabbitmq/work.mjs',
        run,
        options: { url, client, ...counts, ...options },
      };
    });
  const flow = (type, size) => {
    const what = `${size.toLocaleString('en')} bytes, ${type} queue`;
    const count = size > 1000 || quick ? 1000 : 5000;
    const warmUpCount = quick ? 1000 : size > 1000 ? 3000 : 35_000;
    const clients =
      size > 1000
        ? CLIENTS
        : CLIENTS.flatMap((each) => (each.client === 'amqplib' ? [each, LABELLED] : [each]));
    const throughput = { figure: 'perSecond', moreFigures: ['cpuUsEach'], reference: 'amqplib' };
    return [
      {
        id: `flow-${type}-${size}`,
        title: what,
        parts: {
          publish: `Publish with confirms, at most 1000 unconfirmed: ${what}`,
          consume: `Consume with acknowledgements, prefetch 256: ${what}`,
        },
        ...throughput,
        rounds: quick ? 1 : size > 1000 ? 4 : 10,
        subjects: subjects(
          'publishThenConsume',
          { count, warmUpCount, fewer: FEWER },
          { type, size },
          clients,
        ),
      },
      {
        id: `both-${type}-${size}`,
        title: `Publish and consume at once: ${what}`,
        ...throughput,
        rounds: quick ? 1 : 5,
        subjects: subjects(
          'bothAtOnce',
          { count, warmUpCount: warmUpCount / 2, fewer: FEWER },
          { type, size },
        ),
      },
    ];
  };
  const awaited = (type) => ({
    id: `awaited-${type}`,
    title: `One awaited send after the other: 100 bytes, ${type} queue`,
    figure: 'medianUs',
    moreFigures: ['p99Us', 'cpuUsEach'],
    reference: 'amqplib',
    rounds: quick ? 1 : 7,
    subjects: subjects('awaitedSends', { count: 200, warmUpCount: quick ? 500 : 5000 }, { type, size: 100 }),
  });
  // Those with targets come first: where time gets short, the last ones have fewer rounds.
  return [
    ...(quick
      ? [...flow('quorum', 100), awaited('quorum')]
      : [
          ...flow('quorum', 100),
          ...flow('classic', 100),
          awaited('quorum'),
          awaited('classic'),
          ...flow('quorum', 10_000),
          ...flow('classic', 10_000),
        ]),
    {
      id: 'reconnect',
      title: 'From the reset of all connections to the next message handled, with the defaults',
      figure: 'ms',
      reference: 'millrace',
      rounds: quick ? 1 : 3,
      subjects: [
        ...CLIENTS.filter(({ client }) => RECONNECTING.includes(client)),
        { subject: '@cloudamqp/amqp-client session', client: 'cloudamqp-session' },
      ]
        .filter(({ client }) => !quick || client !== 'amqp-connection-manager')
        .map(({ client, ...subject }) => ({
          ...subject,
          module: 'rabbitmq/reconnect.mjs',
          run: 'reconnect',
          options: { url, client, type: 'quorum', size: 100 },
        })),
    },
    ...rabbitMqFanOut({ quick }, url),
    ...rabbitMqLater({ quick }, url),
    rabbitMqMemory({ quick }, url, CLIENTS),
  ];
}
