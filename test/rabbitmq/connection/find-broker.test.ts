import { expect, test } from 'vitest';
import { pause } from '../../../src/common/waiting/waiting.js';
import { QueueError } from '../../../src/errors.js';
import { findBroker } from '../../../src/rabbitmq/connection/find-broker.js';
import { checkRabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { rejection } from '../../support/rejection.js';

test('an attempt for which too little time is left does not hide why the others failed', async () => {
  let tries = 0;
  const connect = async (deadline: number) => {
    if (++tries === 1) {
      const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      throw new QueueError('UNREACHABLE', 'no broker answered: refused', { cause });
    }
    await pause(deadline - performance.now() - 1);
    throw new QueueError('UNREACHABLE', 'no broker answered: no answer within 1 ms');
  };
  const settings = checkRabbitMqOptions({
    connectTimeoutMs: 300,
    reconnect: { initialDelayMs: 1, maxDelayMs: 1 },
  });
  const found = findBroker(connect, settings, new AbortController().signal, () => {});
  const { message } = await rejection(found, 'UNREACHABLE');
  expect(message).toBe('no broker found within 300 ms, in 2 attempts: refused');
});
