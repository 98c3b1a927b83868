/** A worker in a process of its own. Start as many as you like, on this machine or on others, and kill some. */
import { parseArgs } from 'node:util';
import { connect } from 'millrace';
import { startWorkers } from './pool.ts';
import { countPrimes, primesIn, squareBy, squaresIn } from './tasks.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./pool-data' },
    prefix: { type: 'string', default: 'pool' },
  },
});
const broker = await connect(values.url);
const consumers = [
  await startWorkers(broker, squaresIn(values.prefix), squareBy([`process ${process.pid}`]), { workers: 1 }),
  await startWorkers(broker, primesIn(values.prefix), countPrimes, { workers: 1 }),
];

async function stop(): Promise<void> {
  await Promise.all(consumers.map((consumer) => consumer.stop()));
  await broker.close();
  if (process.connected) process.disconnect();
}
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
process.send?.('at work');
