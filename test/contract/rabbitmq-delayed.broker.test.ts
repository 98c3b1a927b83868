import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { brokerSkips, groupsOfVariant, toolkitSkips } from './version-skips.js';

/** Where the server has them; elsewhere the same definitions make do with wait queues. */
const delayed: BrokerSubject = {
  name: 'RabbitMQ with quorum queues that delay retries themselves',
  open: (options) => connect(amqpUrl(), options),
  queueType: 'quorum',
  delayedRetry: { minMs: 100 },
  exactCapacity: false,
  propertyRuns: 20,
  groups: groupsOfVariant(),
  removeQueues,
};

brokerContract(delayed, brokerSkips());
toolkitContract(delayed, toolkitSkips());
