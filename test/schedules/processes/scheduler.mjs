/** Runs a schedule with a tick every so many milliseconds, and writes a line when it has the schedule. */
import { connect, createScheduler, defineQueue, defineSchedule } from 'millrace';
import { z } from 'zod';

const [address, name, everyMs] = process.argv.slice(2);
const broker = await connect(address);
const queue = defineQueue(name, z.string());
const schedule = defineSchedule(name, { everyMs: Number(everyMs), catchUp: 'all', send: [queue, 'x'] });
const scheduler = createScheduler(broker, [schedule], {
  observe: ({ type }) => {
    if (type === 'held' || type === 'sent') console.log(type);
  },
});
await scheduler.start();
