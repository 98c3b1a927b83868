/** docs/options.md lists all options of the functions that it is about, and no others. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createBatchConsumer } from '../../src/batches/create-batch-consumer.js';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { rejection } from '../support/rejection.js';

const page = readFileSync(new URL('../../docs/options.md', import.meta.url), 'utf8');
const unknown = { unknown: 1 } as object;
const queue = defineQueue('orders', z.string());

const functions: Readonly<Record<string, () => unknown>> = {
  connect: () => connect('local:', unknown),
  defineQueue: () => defineQueue('orders', z.string(), unknown),
  createProducer: async () => createProducer(await connect('local:'), queue, unknown),
  createConsumer: async () => createConsumer(await connect('local:'), queue, () => {}, unknown),
  createBatchConsumer: async () => createBatchConsumer(await connect('local:'), queue, () => {}, unknown),
};

test.each(Object.entries(functions))('the options of %s are those on the page', async (name, call) => {
  const { message } = await rejection((async () => call())());
  const [, list = ''] = /the options are (.*)$/.exec(message) ?? [];
  const [, section = ''] = page.split(`\n## ${name}\n`);
  const [text = ''] = section.split('\n## ');
  const rows = text.split('\n').filter((line) => /^\| `/.test(line));
  const listed = rows.flatMap((row) => [...(row.split(' | ')[0] ?? '').matchAll(/`(\w+)`/g)]);
  expect(listed.map(([, option]) => option).sort()).toEqual(list.split(', ').sort());
});
