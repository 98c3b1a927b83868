import { beforeAll, describe } from 'vitest';
import { canStartOwnBroker, rabbitmqSubjects, startServer } from './rabbitmq-subjects.js';
import { randomLedger } from './suite.js';

// It kills, blocks and forbids: not with the broker of TEST_AMQP_URL.
describe.skipIf(!canStartOwnBroker())('with a server of its own', () => {
  beforeAll(startServer);
  randomLedger(rabbitmqSubjects, {
    quorum: [1, 2, 3, 4],
    'quorum with a capacity of 50': [1, 2, 3],
    classic: [1, 2, 3],
    'classic with a capacity of 50': [1, 2],
  });
});
