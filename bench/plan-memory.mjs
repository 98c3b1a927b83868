/** A fast producer against a slow consumer: how much the process grows. All subjects run side by side. */

const WORK = 'in-process/memory.mjs';

/** @returns {import('./workload.js').Workload} */
export function localMemory({ quick }) {
  return {
    id: 'memory-local',
    title: `A fast producer and a slow consumer in process: growth in ${seconds(quick)} s`,
    figure: 'peakGrowthMb',
    reference: 'LocalQueue',
    sideBySide: true,
    limitMs: 120_000,
    subjects: [
      { subject: 'LocalQueue', module: WORK, run: 'localQueue', kind: 'ours' },
      { subject: 'millrace local: send', module: WORK, run: 'typed', kind: 'ours' },
      { subject: 'Node object stream', module: WORK, run: 'nodeStream' },
      { subject: 'p-queue, onSizeLessThan', module: WORK, run: 'pQueue' },
      { subject: 'fastq promise', module: WORK, run: 'fastq' },
      { subject: 'async.queue', module: WORK, run: 'asyncQueue' },
      { subject: '@henrygd/queue', module: WORK, run: 'henrygdQueue' },
    ].map((subject) => ({ ...subject, options: { seconds: seconds(quick) } })),
  };
}

/** @returns {import('./workload.js').Workload} */
export function rabbitMqMemory({ quick }, url, clients) {
  return {
    id: 'memory-rabbitmq',
    title: `A fast producer and a slow consumer on RabbitMQ: growth in ${seconds(quick)} s`,
    figure: 'peakGrowthMb',
    reference: 'amqplib',
    sideBySide: true,
    limitMs: 120_000,
    subjects: clients.map(({ client, ...subject }) => ({
      ...subject,
      module: 'rabbitmq/memory.mjs',
      run: 'memory',
      options: { seconds: seconds(quick), client, url, type: 'quorum', size: 100 },
    })),
  };
}

function seconds(quick) {
  return quick ? 3 : 60;
}
