import { amqpUrl, knownManagementUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { brokerSkips, toolkitSkips } from './version-skips.js';

const quorum: BrokerSubject = {
  name: 'RabbitMQ with quorum queues',
  open: (options) => connect(amqpUrl(), { ...options, managementUrl: knownManagementUrl() }),
  queueType: 'quorum',
  exactCapacity: false,
  propertyRuns: 20,
  removeQueues,
};

brokerContract(quorum, brokerSkips());
toolkitContract(quorum, toolkitSkips());
