import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { brokerSkips, groupsOfVariant, toolkitSkips } from './version-skips.js';

/** As with a version of amqplib that was not tested: nothing but its public API is used. */
const plain: BrokerSubject = {
  name: "RabbitMQ without amqplib's internals",
  open: (options) => connect(amqpUrl(), { ...options, amqplibInternals: false }),
  queueType: 'quorum',
  exactCapacity: false,
  losesDigits: true,
  propertyRuns: 20,
  groups: groupsOfVariant(),
  removeQueues,
};

brokerContract(plain, brokerSkips());
toolkitContract(plain, toolkitSkips());
