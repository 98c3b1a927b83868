import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { toolkitSkips } from './version-skips.js';

const classic: BrokerSubject = {
  name: 'RabbitMQ with classic queues',
  open: (options) => connect(amqpUrl(), options),
  queueType: 'classic',
  exactCapacity: true,
  propertyRuns: 20,
  removeQueues,
};

brokerContract(classic);
toolkitContract(classic, toolkitSkips());
