/** What it costs to copy events to subscriptions. */

const WIDTHS = [1, 10, 100];
const MODULE = 'fan-out.mjs';
const SEND = 'a send to one queue';

/** On a local broker a copy is compared with a send. `place`: the folder; undefined: in memory. */
function localFanOut(id, where, { count, rounds }, place) {
  const options = (subscriptions) => ({
    place,
    client: 'millrace',
    subscriptions,
    count,
    warmUpCount: count,
  });
  return {
    id,
    title: `Copies of events a second, ${where}: 100 bytes`,
    figure: 'perSecond',
    moreFigures: ['cpuUsEach'],
    reference: SEND,
    rounds,
    subjects: [
      { subject: SEND, module: MODULE, run: 'fanOut', options: options(0) },
      ...WIDTHS.map((width) => ({
        subject: `a copy of an event for ${width} subscription${width === 1 ? '' : 's'}`,
        module: MODULE,
        run: 'fanOut',
        kind: 'ours',
        options: options(width),
      })),
    ],
  };
}

/** @returns {import('./workload.js').Workload} */
export function memoryFanOut({ quick }) {
  return localFanOut('fan-out-memory', 'in memory', { count: quick ? 2000 : 100_000, rounds: quick ? 1 : 7 });
}

/** @returns {import('./workload.js').Workload} */
export function diskFanOut({ quick }, place) {
  return localFanOut(
    'fan-out-disk',
    'in a folder',
    { count: quick ? 2000 : 50_000, rounds: quick ? 1 : 5 },
    place,
  );
}

/** @returns {import('./workload.js').Workload[]} */
export function rabbitMqFanOut({ quick }, url) {
  return WIDTHS.map((width) => ({
    id: `fan-out-rabbitmq-${width}`,
    title: `Copies of events a second, ${width} subscription${width === 1 ? '' : 's'} on quorum queues, with confirms: 100 bytes`,
    figure: 'perSecond',
    moreFigures: ['cpuUsEach'],
    reference: 'amqplib',
    rounds: quick ? 1 : 5,
    subjects: ['millrace', 'amqplib', 'rabbitmq-client'].map((client) => ({
      subject: client,
      ...(client === 'millrace' && { kind: 'ours' }),
      module: MODULE,
      run: 'fanOut',
      options: {
        url,
        client,
        subscriptions: width,
        // Each event takes as many writes of the broker as there are subscriptions.
        count: quick ? 500 : 5000 * (width === 1 ? 1 : 2),
        warmUpCount: quick ? 500 : 10_000,
      },
    })),
  }));
}
