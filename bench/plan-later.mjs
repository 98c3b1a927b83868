/** What it costs to send messages for later, and what handling them in batches saves. */

const MODULE = 'later.mjs';
const HOUR = { 'a delayed send': 3_600_000 };

/** RabbitMQ moves a message once for each bit of its delay in seconds. Short: each turn waits until they are due. */
const BITS = { 'a delayed send, 1 s': 1000, 'a delayed send, 7 s: three moves': 7000 };

/** `at`: a `place` or a `url`; none: in memory. `delays`: those that are compared with a plain send. */
function workloads(id, where, { quick, count, delays }, at) {
  const counts = { count: quick ? 1000 : count, warmUpCount: quick ? 500 : count };
  const shared = { figure: 'perSecond', moreFigures: ['cpuUsEach'], rounds: quick ? 1 : 5 };
  const subject = (name, run, options, kind) => ({
    subject: name,
    ...(kind && { kind }),
    module: MODULE,
    run,
    options: { ...at, ...counts, ...options },
  });
  return [
    {
      ...shared,
      id: `later-${id}`,
      title: `Sends of many messages, ${where}: 100 bytes`,
      reference: 'a plain send',
      subjects: [
        subject('a plain send', 'sends', { delayMs: 0 }),
        ...Object.entries(delays).map(([name, delayMs]) => subject(name, 'sends', { delayMs }, 'ours')),
      ],
    },
    {
      ...shared,
      id: `batches-${id}`,
      title: `Handled and acknowledged, by a handler that does nothing, ${where}: 100 bytes`,
      reference: 'one by one, 100 at once',
      subjects: [
        subject('one by one, 100 at once', 'handles', { size: 1 }),
        subject('batches of 100', 'handles', { size: 100 }, 'ours'),
        subject('batches of 1000', 'handles', { size: 1000 }, 'ours'),
      ],
    },
  ];
}

/** @returns {import('./workload.js').Workload[]} */
export function memoryLater({ quick }) {
  return workloads('memory', 'in memory', { quick, count: 100_000, delays: HOUR }, {});
}

/** @returns {import('./workload.js').Workload[]} */
export function diskLater({ quick }, place) {
  const many = quick ? 20_000 : 1_000_000;
  return [
    ...workloads('disk', 'in a folder', { quick, count: 50_000, delays: HOUR }, { place }),
    {
      id: 'delayed-memory',
      title: 'Delayed messages in a folder: how much the process grows that sends and awaits them',
      figure: 'peakGrowthMb',
      reference: `${(many / 10).toLocaleString('en')} delayed`,
      sideBySide: false,
      rounds: quick ? 1 : 3,
      limitMs: 300_000,
      subjects: [many / 10, many].map((count) => ({
        subject: `${count.toLocaleString('en')} delayed`,
        ...(count === many && { kind: 'ours' }),
        module: 'disk/delayed-memory.mjs',
        run: 'delayed',
        options: { place, count },
      })),
    },
  ];
}

/** @returns {import('./workload.js').Workload[]} */
export function rabbitMqLater({ quick }, url) {
  return workloads('rabbitmq', 'on a quorum queue', { quick, count: 5000, delays: BITS }, { url });
}
