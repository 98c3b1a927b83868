/** Two speakers and two queues. Each speaks only after hearing the other, so they take strict turns. */
import { parseArgs } from 'node:util';
import { type Broker, connect, createProducer, defineQueue, receive } from 'millrace';
import { z } from 'zod';

const SCRIPT = [
  'The race is full again.',
  'How fast do you take me?',
  'As fast as the wheel turns.',
  'And if I come faster?',
  'Then you wait. It is only water.',
  'I can wait.',
];

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'dialogue' },
  },
});

/** The queue from which a speaker hears. It has room for one line, so nobody can speak twice without being heard. */
const earOf = (name: string) =>
  defineQueue(`${values.prefix}.${name}`, z.object({ line: z.number(), text: z.string() }), { capacity: 1 });

async function speak(broker: Broker, name: string, other: string, begins: boolean): Promise<void> {
  const mouth = createProducer(broker, earOf(other));
  const say = async (line: number) => {
    const text = SCRIPT[line] ?? '';
    console.log(`${name}: ${text}`);
    await mouth.send({ line, text });
  };

  if (begins) await say(0);
  for await (const heard of receive(broker, earOf(name))) {
    const answer = heard.value.line + 1;
    if (answer < SCRIPT.length) await say(answer);
    heard.ack(); // after the answer: a speaker that crashes before it receives the line again
    if (answer >= SCRIPT.length - 1) break;
  }
}

const broker = await connect(values.url);
await Promise.all([speak(broker, 'miller', 'brook', true), speak(broker, 'brook', 'miller', false)]);
await broker.close();
