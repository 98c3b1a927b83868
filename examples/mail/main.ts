/** Mail in the background: what may pass is tried again, what may not becomes a dead letter, with the reason. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, deadLetters, defineQueue, RejectMessage } from 'millrace';
import { z } from 'zod';
import { PostOffice } from './post-office.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'mail' },
  },
});
const office = new PostOffice(['ada@mill.test', 'bob@mill.example']);
const broker = await connect(values.url);
const mails = defineQueue(values.prefix, z.object({ to: z.string(), subject: z.string() }));

const consumer = createConsumer(
  broker,
  mails,
  async (mail, { attempt }) => {
    const { code, text } = await office.take(mail);
    console.log(`${mail.to}: ${code} ${text} (attempt ${attempt})`);
    if (code >= 500) throw new RejectMessage(`${code} ${text}`);
    if (code >= 400) throw new Error(`${code} ${text}`);
  },
  // In earnest minutes to hours: without `backoff` 1, 2, 4, 8 … seconds.
  { concurrency: 1, retry: { attempts: 10, backoff: () => 100, jitter: 0.5 }, observe: () => {} },
);
await consumer.start();
// With this id a second click makes the same mail, which a consumer can recognize.
for (const to of ['ada@mill.test', 'bob@mill.example', 'nobody@mill.test']) {
  await createProducer(broker, mails).send({ to, subject: 'Your flour is ready' }, { id: `ready:${to}` });
}
while (consumer.counts.handled + consumer.counts.deadLettered < 3) await sleep(10);
await consumer.stop();

const dead = deadLetters(broker, mails);
for (const { id, reason, error } of (await dead.list()).deadLetters)
  console.log(`${id} is a dead letter: ${reason}, ${error}`);
await dead.drop();
await broker.close();
