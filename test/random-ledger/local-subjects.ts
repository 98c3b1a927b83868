import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { aroundBroker } from '../../src/testing/around-broker.js';
import { connect } from '../support/connect.js';
import { CLIENT_WEIGHTS } from './operations.js';
import type { Subject } from './subject.js';

const noFaults = async () => ({});

/** All actors share one broker, which is closed at the end. */
function memory(name: string, queueOptions: Subject['queueOptions']): Subject {
  return {
    name,
    weights: { ...CLIENT_WEIGHTS, close: 0 },
    queueOptions,
    inProcesses: [false, false],
    open: async () => {
      const broker = await connect('local:');
      const shared = Object.assign(aroundBroker(broker, {}), { close: async () => {} });
      return {
        address: 'local:',
        connect: async () => shared,
        isShared: true,
        connectOptions: {},
        queue: 'ledger',
        begin: noFaults,
        close: () => broker.close(),
      };
    },
  };
}

/** One actor is in the process of the test, the other in one of its own that is killed. */
function disk(name: string, queueOptions: Subject['queueOptions']): Subject {
  return {
    name,
    weights: { ...CLIENT_WEIGHTS, kill: 2 },
    queueOptions: { deliveryLimit: 1000, ...queueOptions },
    inProcesses: [false, true],
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'millrace-random-'));
      const address = `local:${folder}`;
      return {
        address,
        connect: () => connect(address),
        connectOptions: {},
        queue: 'ledger',
        begin: noFaults,
        close: () => rm(folder, { recursive: true, force: true }),
      };
    },
  };
}

export const memorySubjects = [
  memory('memory', {}),
  memory('memory with a capacity of 20', { capacity: 20 }),
];
export const diskSubjects = [disk('disk', {}), disk('disk with a capacity of 20', { capacity: 20 })];
