import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openDiskBroker } from '../../src/local-queue/disk/broker.js';
import { brokerContract } from './broker-contract.js';
import { localOperatorContract, operatorContract } from './operator-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-contract-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const disk: BrokerSubject = {
  name: 'local broker on disk',
  open: (options) => openDiskBroker(folder, { connectTimeoutMs: 60_000, ...options }),
  queueType: 'quorum',
  redefines: true,
  exactCapacity: true,
  atomicFanOut: true,
  propertyRuns: 30,
};

brokerContract(disk);
toolkitContract(disk);

operatorContract(disk);
localOperatorContract(disk);
