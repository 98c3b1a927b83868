import { amqpUrl, knownManagementUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { toolkitSkips } from './version-skips.js';

const classic: BrokerSubject = {
  name: 'RabbitMQ with classic queues',
  open: (options) => connect(amqpUrl(), { ...options, managementUrl: knownManagementUrl() }),
  queueType: 'classic',
  exactCapacity: true,
  propertyRuns: 20,
  removeQueues,
};

const unseen =
  'the capacity of a classic queue is kept by each sender, who does not see what an exchange adds';

brokerContract(classic, {
  'a fan-out to a full queue is stored nowhere, or said to be uncertain; with room it goes on': unseen,
  'a full queue holds up its own exchange only': unseen,
});
toolkitContract(classic, toolkitSkips());
