/** A buyer in a process of its own: waits for the start, then tries to buy tickets, with or without the lock. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connect, createLock } from 'millrace';
import { sellOne } from './box-office.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./lock-data' },
    name: { type: 'string', default: 'box-office' },
    file: { type: 'string', default: './tickets.txt' },
    tries: { type: 'string', default: '5' },
    unlocked: { type: 'boolean', default: false },
    hold: { type: 'boolean', default: false },
  },
});
const broker = await connect(values.url);
const lock = createLock(broker, values.name);

process.send?.('ready');
if (process.connected) await once(process, 'message');
let bought = 0;
for (let attempt = 0; attempt < Number(values.tries); attempt++) {
  const held = values.unlocked ? undefined : await lock.acquire({ timeoutMs: 60_000 });
  try {
    if (values.hold) {
      process.send?.('holding');
      await once(process, 'disconnect'); // works under the lock until it is killed
    }
    if (await sellOne(values.file)) bought++;
  } finally {
    await held?.release(); // with `await using held = …`, on Node 24, no `finally` is needed
  }
}
process.send?.(bought);
await broker.close();
if (process.connected) process.disconnect();
