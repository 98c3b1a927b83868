import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { brokerContract } from './broker-contract.js';
import { localOperatorContract, operatorContract } from './operator-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';

const memory: BrokerSubject = {
  name: 'local broker in memory',
  open: async (options) => openMemoryBroker(options ?? {}),
  queueType: 'quorum',
  exactCapacity: true,
  atomicFanOut: true,
  propertyRuns: 200,
};

brokerContract(memory, {
  'a message outlives the broker that published it': 'the memory of a broker ends with it',
  'messages that were unsettled when their broker closed are redelivered to another':
    'the memory of a broker ends with it',
});

toolkitContract(memory, {
  'a delayed message outlives the broker that sent it': 'the memory of a broker ends with it',
});

operatorContract(memory);
localOperatorContract(memory);
