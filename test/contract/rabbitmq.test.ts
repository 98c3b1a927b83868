import { amqpUrl, knownManagementUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import { operatorContract } from './operator-contract.js';
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

/** Without a management API there are no lists, and no figures but those of AMQP. */
const managementUrl = knownManagementUrl();
if (managementUrl !== undefined) {
  operatorContract({
    ...quorum,
    open: (options) => connect(amqpUrl(), { ...options, managementUrl }),
  });
}
