import { connect as connectAmqplib } from 'amqplib';
import { connect } from '../../src/connect.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { canStartOwnBroker, startOwnBroker, uniqueName } from '../support/broker.js';
import type { BrokerContainer } from '../support/containers/broker-container.js';
import { eventually } from '../support/eventually.js';
import { CLIENT_WEIGHTS, type Fault, LINK_WEIGHTS, OPERATOR_WEIGHTS, SERVER_WEIGHTS } from './operations.js';
import type { OpenSubject, Subject } from './subject.js';

export { canStartOwnBroker };

const LAG_MS = 5;
const SLOW_BYTES_PER_SECOND = 20_000;
const POLICY = { 'max-length': 1, overflow: 'reject-publish' };
const EVERYTHING = ['.*', '.*', '.*'];

let container: BrokerContainer;

/** Before the subjects are opened: a broker that is killed, blocked and forbidden things is nobody else's. */
export async function startServer(): Promise<void> {
  container = await startOwnBroker();
}

function rabbitmq(name: string, queueOptions: Subject['queueOptions']): Subject {
  return {
    name,
    weights: { ...CLIENT_WEIGHTS, ...LINK_WEIGHTS, ...OPERATOR_WEIGHTS, ...SERVER_WEIGHTS },
    queueOptions: queueOptions.type === 'classic' ? queueOptions : { deliveryLimit: 1000, ...queueOptions },
    inProcesses: [false, false],
    open: () => openServer(queueOptions),
  };
}

export const rabbitmqSubjects = [
  rabbitmq('quorum', {}),
  rabbitmq('quorum with a capacity of 50', { capacity: 50 }),
  rabbitmq('classic', { type: 'classic' }),
  rabbitmq('classic with a capacity of 50', { type: 'classic', capacity: 50 }),
];

async function openServer({ type, capacity }: Subject['queueOptions']): Promise<OpenSubject> {
  const isClassic = type === 'classic';
  const { rabbitmqctl } = container;
  // Of its own, so that its permissions can be taken away.
  const user = uniqueName('random');
  await commandUntilDone('add_user', user, user);
  await commandUntilDone('set_permissions', user, ...EVERYTHING);
  const direct = new URL(container.amqpUrl);
  const { hostname, port } = direct;
  direct.username = user;
  direct.password = user;
  const directAddress = direct.href;
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  const queue = uniqueName('random');
  const connectOptions = { heartbeatMs: 1000, reconnect: { initialDelayMs: 20, maxDelayMs: 500 } };

  /** How many policies are on the queue, or about to be. */
  let policies = 0;
  let hadPolicy = false;
  /** At a restart a classic queue drops what is over a policy's limit, `reject-publish` or not, and dead-letters none. */
  const restart = async (anew: () => Promise<void>) => {
    let lost = isClassic && policies > 0;
    await anew();
    lost ||= isClassic && policies > 0;
    return { lost };
  };

  const begin = async (fault: Fault): ReturnType<OpenSubject['begin']> => {
    switch (fault.do) {
      case 'cut':
        proxy.cut();
        return {};
      case 'cutAfter':
        void proxy.resetAfterBytes(fault.bytes, fault.direction);
        return {};
      case 'halfOpen':
        proxy.halfOpen(fault.direction);
        return { end: async () => proxy.thaw() };
      case 'freeze':
        proxy.freeze();
        return { end: async () => proxy.thaw() };
      case 'refuse':
        await proxy.refuse(true);
        proxy.cut();
        return { end: () => proxy.refuse(false) };
      case 'slow':
        proxy.slow(SLOW_BYTES_PER_SECOND);
        return { end: async () => proxy.slow(Number.POSITIVE_INFINITY) };
      case 'lag':
        proxy.delay(LAG_MS);
        return { end: async () => proxy.delay(0) };
      case 'closeConnections':
        await rabbitmqctl('close_all_user_connections', user, 'closed by the ledger');
        return {};
      case 'alarm':
        await rabbitmqctl('set_vm_memory_high_watermark', '0.0001');
        return { end: () => commandUntilDone('set_vm_memory_high_watermark', '0.6') };
      case 'revoke':
        await rabbitmqctl('set_permissions', user, '.*', '^$', '.*');
        return { end: () => commandUntilDone('set_permissions', user, ...EVERYTHING) };
      case 'policy':
        await rabbitmqctl('set_policy', queue, `^${queue}$`, JSON.stringify(POLICY));
        policies++;
        hadPolicy = true;
        return {
          end: async () => {
            // Two may overlap: they have one name.
            if (policies === 1) await clearPolicy(queue);
            policies--;
          },
        };
      case 'deleteQueue':
        await deleteQueue(container.amqpUrl, queue);
        return { lost: true };
      case 'pause':
        await container.pause();
        return { end: () => container.unpause() };
      case 'restart':
        return restart(container.restart);
      case 'crash':
        return restart(crash);
    }
  };
  return {
    address: proxy.url(directAddress),
    connect: () => connect(directAddress, { connectTimeoutMs: 60_000 }),
    connectOptions,
    queue,
    // A policy drops what is over its limit where the queue itself does not reject publishes: see docs/faults.md.
    mayDieOf: (reason) => reason === 'maxlen' && isClassic && capacity === undefined && hadPolicy,
    // A broker that is paused, or restarts, answers no command until that is over.
    begin: (fault) => eventually(() => begin(fault), { timeoutMs: 60_000, intervalMs: 200 }),
    close: async () => {
      await proxy.close();
      for (const name of [queue, `${queue}.dead`]) await deleteQueue(container.amqpUrl, name);
      await commandUntilDone('delete_user', user);
    },
  };
}

/** What a new quorum queue is called is on disk only some seconds later, and without it its messages are lost. */
const SYNC_NAMES = '[dets:sync(Table) || Table <- dets:all()]';

/**
 * The names are written and the broker is killed in one command: a queue that is declared in between would lose its
 * messages.
 */
async function crash(): Promise<void> {
  // Where no command is answered, nothing is killed.
  await container.rabbitmqctl('eval', `${SYNC_NAMES}.`);
  // It answers no more.
  await container.rabbitmqctl('eval', `${SYNC_NAMES}, erlang:halt(137, [{flush, false}]).`).catch(() => {});
  await container.crash();
}

async function clearPolicy(name: string): Promise<void> {
  await eventually(
    () =>
      container.rabbitmqctl('clear_policy', name).catch((error: Error) => {
        // It was cleared before, though the answer did not come.
        if (!error.message.includes('does not exist')) throw error;
        return true;
      }),
    { timeoutMs: 60_000, intervalMs: 200 },
  );
}

async function commandUntilDone(...command: string[]): Promise<void> {
  await eventually(() => container.rabbitmqctl(...command), { timeoutMs: 60_000, intervalMs: 200 });
}

async function deleteQueue(url: string, queue: string): Promise<void> {
  const connection = await connectAmqplib(url);
  connection.on('error', () => {});
  try {
    const channel = await connection.createChannel();
    await channel.deleteQueue(queue);
  } finally {
    await connection.close();
  }
}
