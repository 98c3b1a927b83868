import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { defineQueue } from '../../src/queue.js';
import { rejection } from '../support/rejection.js';

it.each(['in memory', 'on disk'])('a consumer %s can have no priority, and says so', async (where) => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const broker = await connect(where === 'on disk' ? `local:${folder}` : 'local:');
  onTestFinished(() => broker.close());
  const queue = defineQueue('alike', z.string());
  const starting = createConsumer(broker, queue, () => {}, { priority: 1 }).start();
  const { message } = await rejection(starting, 'INVALID_OPTION');
  expect(message).toMatch(/only RabbitMQ/);
});
