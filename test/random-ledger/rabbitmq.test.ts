import { beforeAll, describe, expect, test } from 'vitest';
import type { Operation } from './operations.js';
import { canStartOwnBroker, rabbitmqSubjects, startServer } from './rabbitmq-subjects.js';
import { runOperations } from './run-operations.js';
import { randomLedger } from './suite.js';

// It kills, blocks and forbids: not with the broker of TEST_AMQP_URL.
describe.skipIf(!canStartOwnBroker())('with a server of its own', () => {
  beforeAll(startServer);
  randomLedger(rabbitmqSubjects, {
    quorum: [1, 2, 3, 4],
    'quorum with a capacity of 50': [1, 2, 3],
    classic: [1, 2, 3, 1_935_138_245, 2_146_998_517],
    'classic with a capacity of 50': [1, 2],
  });

  const idleAndKilled: Operation[] = [
    { do: 'send', actor: 0, how: 'sendMany', first: 0, count: 100, kind: 'plain' },
    { do: 'confirmed' },
    { do: 'crash' },
  ];
  test.each(rabbitmqSubjects.filter(({ name }) => name === 'quorum' || name === 'classic'))(
    'an idle queue ($name) whose broker is killed after the last confirm loses nothing',
    async (subject) => {
      expect(await runOperations(subject, idleAndKilled)).toEqual([]);
    },
  );
});
