import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend, MessageHeaders } from '../../src/broker.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { deadLetters } from '../../src/dead-letters/dead-letters.js';
import { RejectMessage } from '../../src/errors.js';
import { defineQueue } from '../../src/queue.js';
import { openRabbitMqBroker } from '../../src/rabbitmq/rabbitmq-broker.js';
import type { ReceivedMessage } from '../../src/rabbitmq/wire/amqp-message.js';
import { DeliveryReader, type ReadInternals } from '../../src/rabbitmq/wire/delivery-reader.js';
import { Millrace } from '../cli/support/spawn-millrace.js';
import { countInReport } from '../support/amounts.js';
import { amqpUrl, rawConnection, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';
import { type Stranger, strangers } from './corpus.js';
import { publishReally, realClients } from './real-clients.js';

const prefix = uniqueName('strangers');
let count = 0;
let broker: Backend;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

/** Bodies of strangers are what they are. */
const bytes = {
  contentType: 'application/octet-stream',
  encode: (value: string) => Buffer.from(value, 'latin1'),
  decode: (body: Uint8Array) => Buffer.from(body).toString('latin1'),
  ignoresContentType: true,
};

/** Takes the only message of a queue as it is on the wire. */
async function takeFrom(queue: string): Promise<ReceivedMessage> {
  const connection = await rawConnection();
  const channel = await connection.createChannel();
  const reader = new DeliveryReader(connection.connection as unknown as ReadInternals);
  const message = new Promise<ReceivedMessage>((resolve) => void reader.receive(channel, resolve));
  await channel.consume(queue, () => {});
  const taken = await message;
  await channel.close();
  await connection.close();
  return taken;
}

/** What its sender set, with the bytes of each header. What the broker and the toolkit wrote is theirs. */
function sentPart({ properties, headers, content }: ReceivedMessage) {
  const isTheirs = (name: string) =>
    !/^x-(millrace-.*|death|(first|last)-death-.*|delivery-count|acquired-count)$/.test(name);
  const fields = [...headers.fields()].filter(({ name }) => isTheirs(name));
  const { deliveryMode: _, expiration: __, messageId: ___, ...others } = properties;
  return {
    ...others,
    content: content.toString('hex'),
    headers: Object.fromEntries(fields.map((field) => [field.name, field.bytes.toString('hex')])),
  };
}

async function publish(queue: string, { properties, body }: Stranger): Promise<void> {
  const channel = await (await rawConnection()).createConfirmChannel();
  channel.publish('', queue, body, properties);
  await channel.waitForConfirms();
  await channel.close();
}

/** As it arrived in a queue: taking it from the queue of its handler would count as an attempt. */
async function asItArrives(send: (queue: string) => Promise<void>) {
  const queue = defineQueue(`${prefix}-${++count}`, z.string(), { deadLetter: false });
  await broker.declare(queue.spec);
  await send(queue.name);
  return sentPart(await takeFrom(queue.name));
}

const cases = (['quorum', 'classic'] as const).flatMap((type) =>
  strangers.map((each) => ({ type, ...each })),
);

describe.each(cases)('a message of $client in a $type queue', ({ type, ...stranger }) => {
  test('is received, handled, retried, a dead letter, listed, shown and replayed, and stays as it was sent', async (context) => {
    countInReport(context, "strangers' messages");
    const queue = defineQueue(`${prefix}-${++count}`, z.string(), { codec: bytes, type });
    await broker.declare(queue.spec);
    const before = await asItArrives((name) => publish(name, stranger));
    await publish(queue.name, stranger);

    const attempts: number[] = [];
    const seen: MessageHeaders[] = [];
    const bodies: string[] = [];
    const consumer = createConsumer(
      broker,
      queue,
      (value, { attempt, headers }) => {
        attempts.push(attempt);
        bodies.push(Buffer.from(value, 'latin1').toString('hex'));
        seen.push(headers);
        if (attempt === 1) throw new Error('not yet');
        throw new RejectMessage('no');
      },
      { retry: { delaysMs: [1, 1] } },
    );
    await consumer.start();
    await eventually(() => consumer.counts.deadLettered === 1);
    await consumer.stop();
    expect(attempts).toEqual(stranger.isCompressed ? [] : [1, 2]);

    expect(seen[0] ?? stranger.seen.headers).toMatchObject(stranger.seen.headers);
    for (const body of bodies) expect(body).toBe(stranger.body.toString('hex'));

    const dead = deadLetters(broker, queue.name);
    const { deadLetters: letters } = await eventually(async () => {
      const list = await dead.list();
      return list.deadLetters.length === 1 && list;
    });
    const reason = stranger.isCompressed ? 'undecodable' : 'rejected';
    const message = { contentType: stranger.seen.contentType };
    expect(letters).toMatchObject([{ reason, queue: queue.name, attempts: attempts.length || 1, message }]);
    const seenHeaders = Object.fromEntries(
      Object.entries(stranger.seen.headers).filter(([name]) => !name.startsWith('x-delivery')),
    );
    expect(letters[0]?.message.headers).toMatchObject(seenHeaders);
    const format = type === 'quorum' ? [] : ['--json'];
    const show = await eventually(
      async () => {
        const run = new Millrace(['dlq', 'show', '-q', queue.name, '-u', amqpUrl(), ...format]);
        // It finds none while the queue takes back what was listed.
        return (await run.exit()) === 0 && run;
      },
      // Each try is a process.
      { timeoutMs: 90_000 },
    );
    for (const text of [reason, ...Object.keys(seenHeaders)]) expect(show.stdout).toContain(text);
    expect(show.stderr).toBe('');
    await eventually(async () => (await dead.replay()).replayed === 1);

    const after = await takeFrom(queue.name);
    expect(sentPart(after)).toEqual(before);
    expect(after.headers.values).not.toHaveProperty('x-millrace-reason');
    expect(after.headers.values).not.toHaveProperty('x-millrace-dropped-headers');
  });
});

describe.each(await realClients())('$client, as it runs here', (real) => {
  test.skipIf(real.missing !== undefined)(
    `publishes what the corpus says of it ${real.missing ?? ''}`,
    async (context) => {
      countInReport(context, "strangers' messages");
      const stranger = strangers.find(({ client }) => client === real.client);
      if (stranger === undefined) throw new Error(`the corpus has no message of ${real.client}`);
      const published = await asItArrives((queue) => publishReally(real, amqpUrl(), queue));
      // Pickled and compressed it depends on the version of both. Headers that an older version can't encode are missing.
      const { content: _, ...rest } = published;
      const compared =
        stranger.properties.contentType === 'application/x-python-serialize' ? rest : published;
      expect(await asItArrives((queue) => publish(queue, stranger))).toMatchObject(compared);
    },
  );
});
