/** What it costs to send messages for later, and what handling them in batches saves. */

const MODULE = 'later.mjs';
const HOUR_MS = 3_600_000;

/** `at`: a `place`; none: in memory. */
function workloads(where, { quick, count, delayMs }, at) {
  const counts = { count: quick ? 1000 : count, warmUpCount: quick ? 500 : count };
  const shared = { figure: 'perSecond', moreFigures: ['cpuUsEach'], rounds: quick ? 1 : 5 };
  const subject = (name, run, options, kind) => ({
    subject: name,
    ...(kind && { kind }),
    module: MODULE,
    run,
    options: { ...at, ...counts, ...options },
  });
  const id = where === 'in a folder' ? 'disk' : 'memory';
  return [
    {
      ...shared,
      id: `later-${id}`,
      title: `Sends of many messages, ${where}: 100 bytes`,
      reference: 'a plain send',
      subjects: [
        subject('a plain send', 'sends', { delayMs: 0 }),
        subject('a delayed send', 'sends', { delayMs }, 'ours'),
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
  return workloads('in memory', { quick, count: 100_000, delayMs: HOUR_MS }, {});
}

/** @returns {import('./workload.js').Workload[]} */
export function diskLater({ quick }, place) {
  const many = quick ? 20_000 : 1_000_000;
  return [
    ...workloads('in a folder', { quick, count: 50_000, delayMs: HOUR_MS }, { place }),
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
