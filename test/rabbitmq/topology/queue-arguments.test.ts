import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { serverVersion } from '../../../src/rabbitmq/connection/server-version.js';
import {
  deadLetterQueueDeclaration,
  isDelayOf,
  queueDeclaration,
  readyQueueDeclaration,
  waitQueueDeclaration,
} from '../../../src/rabbitmq/topology/queue-arguments.js';

const declarationOf = (options: QueueOptions, version = '4.3.0') =>
  queueDeclaration(defineQueue('orders', z.unknown(), options).spec, serverVersion(version));

describe('queueDeclaration', () => {
  it('is a durable quorum queue that loses nothing on its way to the dead letters', () => {
    expect(declarationOf({})).toEqual({
      name: 'orders',
      earlier: [],
      options: {
        durable: true,
        exclusive: false,
        autoDelete: false,
        arguments: {
          'x-queue-type': 'quorum',
          'x-delivery-limit': 20,
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': 'orders.dead',
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      },
    });
  });

  it('has no delivery limit where none is wanted, in the words of each version', () => {
    const options = { deliveryLimit: Number.POSITIVE_INFINITY };
    expect(declarationOf(options).options.arguments).toMatchObject({ 'x-delivery-limit': -1 });
    expect(declarationOf(options, '3.13.7').options.arguments).not.toHaveProperty('x-delivery-limit');
  });

  it('refuses rather than drops over its capacity', () => {
    const limited = { 'x-max-length': 100, 'x-overflow': 'reject-publish' };
    expect(declarationOf({ capacity: 100 }).options.arguments).toMatchObject(limited);
    const classic = declarationOf({ capacity: 100, type: 'classic', deadLetter: false });
    // At a restart a classic queue would drop what is over its limit: no queue reaches this one.
    expect(classic.options.arguments).toEqual({
      'x-queue-type': 'classic',
      'x-max-length': 1_000_000_100,
      'x-overflow': 'reject-publish',
    });
    expect(classic.earlier.map((earlier) => earlier.arguments)).toEqual([
      { 'x-queue-type': 'classic', ...limited },
    ]);
    expect(declarationOf({ capacity: Number.POSITIVE_INFINITY }).options.arguments).not.toHaveProperty(
      'x-max-length',
    );
  });

  it('reports of a classic queue what the broker knows of it', () => {
    expect(declarationOf({ type: 'classic', maxPriority: 9 }).options.arguments).toEqual({
      'x-queue-type': 'classic',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'orders.dead',
      'x-max-priority': 9,
    });
  });

  it('omits optional fields if other programs share the queue', () => {
    expect(declarationOf({ declare: 'if-missing' }).options.arguments).toEqual({ 'x-queue-type': 'quorum' });
    expect(declarationOf({ declare: 'if-missing', capacity: 5 }).options.arguments).toEqual({
      'x-queue-type': 'quorum',
      'x-max-length': 5,
      'x-overflow': 'reject-publish',
    });
  });

  it('is asked to delay retries where the server can, the type can, and nothing else is said', () => {
    const delayedRetry = { minMs: 100, maxMs: 300 };
    const argumentsOf = (options: QueueOptions, version?: string) =>
      declarationOf({ delayedRetry, ...options }, version).options.arguments;
    expect(argumentsOf({})).toMatchObject({
      'x-delayed-retry-type': 'failed',
      'x-delayed-retry-min': 100,
      'x-delayed-retry-max': 300,
    });
    for (const otherwise of [
      argumentsOf({}, '4.2.9'),
      argumentsOf({ type: 'classic' }),
      argumentsOf({ declare: 'if-missing' }),
      argumentsOf({ arguments: { 'x-delivery-limit': 5 } }),
    ]) {
      expect(otherwise).not.toHaveProperty('x-delayed-retry-min');
    }
    expect(argumentsOf({ arguments: { 'x-delayed-retry-min': 5 } })).not.toHaveProperty(
      'x-delayed-retry-max',
    );
  });

  it('takes further arguments unchanged, before its own', () => {
    const options = { arguments: { 'x-single-active-consumer': true, 'x-overflow': 'drop-head' } };
    expect(declarationOf(options).options.arguments).toMatchObject(options.arguments);
  });
});

describe('a queue that was declared earlier', () => {
  it('on a server before 4.0 has no limit to lift, and is accepted as it is on later ones', () => {
    const dead = deadLetterQueueDeclaration('orders.dead', undefined, serverVersion('4.3.6'));
    expect(dead.earlier.map((earlier) => earlier.arguments)).toEqual([{ 'x-queue-type': 'quorum' }]);
    const limitless = declarationOf({ deliveryLimit: Number.POSITIVE_INFINITY });
    expect(limitless.earlier).toHaveLength(1);
    expect(limitless.earlier[0]?.arguments).not.toHaveProperty('x-delivery-limit');
  });

  it('may differ in all of these at once', () => {
    const delayedRetry = { minMs: 100 };
    const both = declarationOf({ delayedRetry, deliveryLimit: Number.POSITIVE_INFINITY });
    expect(both.earlier).toHaveLength(3);
    expect(declarationOf({ delayedRetry, capacity: 5, type: 'classic' }).earlier).toHaveLength(1);
  });
});

describe('isDelayOf', () => {
  it('is for the delay of just this failure, and for half of the delivery limit', () => {
    const spec = { delayedRetry: { minMs: 100, maxMs: 250 }, deliveryLimit: 8 };
    const delays = [0, 1, 2, 3, 4, 5].map((returns) =>
      [100, 200, 250].filter((delayMs) => isDelayOf(spec, returns, delayMs)),
    );
    expect(delays).toEqual([[100], [200], [250], [250], [], []]);
    expect(isDelayOf({ delayedRetry: undefined, deliveryLimit: 8 }, 0, 100)).toBe(false);
  });
});

describe('the queues besides it', () => {
  it('a dead-letter queue drops nothing, whoever reads it', () => {
    expect(deadLetterQueueDeclaration('orders.dead', 10, serverVersion('4.3.6')).options).toEqual({
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-max-length': 10,
        'x-overflow': 'reject-publish',
        'x-delivery-limit': -1,
      },
    });
    const old = deadLetterQueueDeclaration('orders.dead', undefined, serverVersion('3.13.7'));
    expect(old.options.arguments).toEqual({ 'x-queue-type': 'quorum' });
  });

  it('a wait queue keeps its messages until they have arrived in the ready queue, or in the queue as before', () => {
    const { name, options, earlier } = waitQueueDeclaration('orders', { ms: 1000, isStep: false }, false);
    expect(name).toBe('orders.retry.1000');
    expect(options).toEqual({
      durable: true,
      exclusive: false,
      arguments: {
        'x-queue-type': 'quorum',
        'x-message-ttl': 1000,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'orders.retry.ready',
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    });
    expect(earlier).toHaveLength(1);
    expect(earlier[0]?.arguments).toMatchObject({ 'x-dead-letter-routing-key': 'orders' });
  });

  it('have names that fit into AMQP, different ones for names with a common start', () => {
    for (const queue of ['x'.repeat(255), 'ü'.repeat(127), '🐇'.repeat(63), `${'x'.repeat(250)}é`]) {
      const names = [queue, `${queue.slice(0, -1)}y`].flatMap((each) => [
        waitQueueDeclaration(each, { ms: 2_147_483_647, isStep: true }, false).name,
        waitQueueDeclaration(each, { ms: 1, isStep: false }, false).name,
        readyQueueDeclaration(each, false).name,
      ]);
      expect(new Set(names).size).toBe(6);
      for (const name of names) {
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(name).not.toContain('\ufffd');
        expect(name).toMatch(/\.retry\.(step\.2147483647|1|ready)$/);
      }
    }
  });

  it('the ready queue stops waiting for consumers after a while', () => {
    const { name, options } = readyQueueDeclaration('orders', false);
    expect(name).toBe('orders.retry.ready');
    expect(options.arguments).toMatchObject({
      'x-message-ttl': 60_000,
      'x-dead-letter-routing-key': 'orders',
      'x-dead-letter-strategy': 'at-least-once',
    });
  });
});

describe('the wait queue of an exclusive queue', () => {
  it('goes with the connection, as the queue does', () => {
    expect(waitQueueDeclaration('mine', { ms: 1000, isStep: false }, true).options).toEqual({
      durable: false,
      exclusive: true,
      arguments: {
        'x-queue-type': 'classic',
        'x-message-ttl': 1000,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'mine.retry.ready',
      },
    });
  });
});

describe('serverVersion', () => {
  it.each([
    ['3.13.7', false, false],
    ['4.0.5', true, false],
    ['4.2.9', true, false],
    ['4.3.0', true, true],
    ['4.10.0-rc.1', true, true],
    ['5.0', true, true],
    ['', true, true],
    [undefined, true, true],
  ])('%s', (text, limitsDeliveries, countsFailuresOnly) => {
    expect(serverVersion(text)).toMatchObject({
      limitsDeliveries,
      countsFailuresOnly,
      delaysRetries: countsFailuresOnly,
      takesTransientQueues: !countsFailuresOnly,
      answersBeforeQueuesRun: !countsFailuresOnly,
      quorumPriorities: countsFailuresOnly ? 32 : limitsDeliveries ? 2 : 1,
    });
  });
});
