import { afterAll, beforeAll } from 'vitest';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerContract } from './broker-contract.js';
import type { BrokerSubject } from './subject.js';
import { toolkitContract } from './toolkit-contract.js';
import { brokerSkips, groupsOfVariant, toolkitSkips } from './version-skips.js';

/** Each way: what hides between a question and its answer on loopback shows here. */
const LATENCY_MS = 5;

let proxy: TcpProxy;

beforeAll(async () => {
  const { hostname, port } = new URL(amqpUrl());
  proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  proxy.delay(LATENCY_MS);
});
afterAll(() => proxy.close());

const far: BrokerSubject = {
  name: 'RabbitMQ with quorum queues, over a link with latency',
  open: (options) => connect(proxy.url(amqpUrl()), options),
  queueType: 'quorum',
  exactCapacity: false,
  propertyRuns: 10,
  waits: true,
  groups: groupsOfVariant(),
  removeQueues,
};

brokerContract(far, brokerSkips());
toolkitContract(far, toolkitSkips());
