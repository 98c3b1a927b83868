import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { matchesTopic, topicWords } from '../../../src/common/definitions/topic-pattern.js';
import { defineExchange } from '../../../src/exchange.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { Inbox } from '../../support/inbox.js';

const PATTERNS = 60;
const KEYS = 200;
const END = 'the end';

const folder = mkdtempSync(join(tmpdir(), 'millrace-topics-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Few words, so that most patterns match something, and the odd ones. */
const PATTERN_WORDS = ['a', 'b', '', '*', '*', '#', '#', 'ä', 'a*', '**'];
const KEY_WORDS = ['a', 'a', 'b', 'b', '', 'ä', '*', '#', 'a*', '**'];

/** The same each time (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` different texts of 0 to 5 words. */
function texts(count: number, words: readonly string[], random: () => number): string[] {
  const made = new Set<string>();
  while (made.size < count) {
    const length = Math.floor(random() * 6);
    const text = Array.from({ length }, () => words[Math.floor(random() * words.length)]);
    // RabbitMQ takes no pattern with more.
    if (text.filter((word) => word === '#').length <= 2) made.add(text.join('.'));
  }
  return [...made];
}

/** Which keys a queue gets that is bound with each pattern, and which keys any queue gets. */
async function routed(broker: Backend, patterns: readonly string[], keys: readonly string[]) {
  const exchange = defineExchange(uniqueName('topic-matching'), { type: 'topic' });
  const queues = patterns.map(
    (routingKey) =>
      defineQueue(uniqueName('topic-matching'), z.unknown(), {
        type: 'classic',
        durable: false,
        exclusive: true,
        autoDelete: true,
        deadLetter: false,
        capacity: Number.POSITIVE_INFINITY,
        bindings: [{ exchange, routingKey }],
      }).spec,
  );
  for (const queue of queues) await broker.declare(queue);
  const inboxes = await Promise.all(queues.map(({ name }) => Inbox.open(broker, name, { prefetch: 1000 })));
  const message = (id: string) => ({ id, contentType: '', headers: {}, body: '' });
  const taken = await Promise.all(
    keys.map((routingKey) =>
      broker.publish({ exchange: exchange.name, routingKey }, message(`<${routingKey}>`), {
        mandatory: false,
      }),
    ),
  );
  for (const { name } of queues) await broker.publish({ exchange: '', routingKey: name }, message(END));
  const got: string[][] = [];
  for (const inbox of inboxes) {
    const ids: string[] = [];
    for (let id = ''; id !== END; ids.push(id)) [id = END] = await inbox.ackNext(1);
    got.push(ids.slice(0, -1).sort());
  }
  return { got, taken: keys.filter((_, index) => taken[index]) };
}

test(`memory, disk and RabbitMQ agree on ${PATTERNS * KEYS} pairs of a pattern and a key`, async () => {
  const random = randomFrom(Number(process.env.SEED ?? 1));
  const patterns = texts(PATTERNS, PATTERN_WORDS, random);
  const keys = texts(KEYS, KEY_WORDS, random);
  const expected = patterns.map((pattern) =>
    keys
      .filter((key) => matchesTopic(topicWords(pattern), topicWords(key)))
      .map((key) => `<${key}>`)
      .sort(),
  );
  expect(expected.flat().length).toBeGreaterThan(500);
  const brokers: [string, Backend][] = [
    ['memory', openMemoryBroker()],
    ['disk', await openDiskBroker(folder, { durability: 'commit' })],
    ['RabbitMQ', await connect(amqpUrl())],
  ];
  for (const [name, broker] of brokers) {
    const { got } = await routed(broker, patterns, keys);
    expect(got, name).toEqual(expected);
    await broker.close();
  }
});

test('memory, disk and RabbitMQ agree on which of many keys no pattern takes', async () => {
  const random = randomFrom(Number(process.env.SEED ?? 2));
  const patterns = texts(12, PATTERN_WORDS, random).filter((pattern) => !/^(#\.?)+$/.test(pattern));
  const keys = texts(KEYS, KEY_WORDS, random);
  const expected = keys.filter((key) =>
    patterns.some((pattern) => matchesTopic(topicWords(pattern), topicWords(key))),
  );
  expect(expected.length).toBeLessThan(KEYS);
  for (const broker of [openMemoryBroker(), await openDiskBroker(folder), await connect(amqpUrl())]) {
    const { taken } = await routed(broker, patterns, keys);
    expect(taken, broker.url).toEqual(expected);
    await broker.close();
  }
});
