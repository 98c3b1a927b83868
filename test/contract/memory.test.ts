import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';

const memory: BrokerSubject = {
  name: 'local broker in memory',
  open: async (options) => openMemoryBroker(options ?? {}),
  queueType: 'quorum',
  exactCapacity: true,
  propertyRuns: 200,
};

brokerContract(memory, {
  'a message outlives the broker that published it': 'the memory of a broker ends with it',
  'what was unsettled when its broker closed comes again to another, redelivered':
    'the memory of a broker ends with it',
});

toolkitContract(memory);
