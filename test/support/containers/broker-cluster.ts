import { randomUUID } from 'node:crypto';
import { run } from '../command.js';
import { eventually } from '../eventually.js';
import { type BrokerContainer, startBrokerContainer } from './broker-container.js';
import { OWNER_LABEL } from './container-owner.js';

const HOSTNAMES = ['r1', 'r2', 'r3'] as const;
const COMMAND_LIMIT_MS = 30_000;

/** Three brokers in containers that are the nodes rabbit@r1 to rabbit@r3 of one cluster. */
export interface BrokerCluster {
  readonly nodes: readonly BrokerContainer[];
  /** The addresses of all nodes, in their order. They stay the same over a kill and a start. */
  readonly amqpUrls: readonly string[];
  /** The node that leads the quorum queue. All nodes must be up. */
  leaderOf(queue: string): Promise<BrokerContainer>;
  /** Has that node lead the quorum queue. */
  lead(queue: string, node: BrokerContainer): Promise<void>;
  /** Waits until the quorum queue has a leader and a follower on each other node: then any one may go. */
  untilWhole(queue: string): Promise<void>;
  stop(): Promise<void>;
}

/** Takes about a quarter of a minute. */
export async function startBrokerCluster(image: string, owner: string): Promise<BrokerCluster> {
  const network = `millrace-${randomUUID()}`;
  await docker('network', 'create', '--label', `${OWNER_LABEL}=${owner}`, network);
  // They search for each other while they start: one after the other, each would wait forever for the next one.
  const membership = { network, hostnames: HOSTNAMES, cookie: randomUUID() };
  const nodes = await Promise.all(
    HOSTNAMES.map((hostname) => startBrokerContainer(image, owner, { ...membership, hostname })),
  );
  await Promise.all(nodes.map((node) => eventually(() => sees(node, nodes.length), { timeoutMs: 60_000 })));
  return {
    nodes,
    amqpUrls: nodes.map(({ amqpUrl }) => amqpUrl),
    leaderOf: async (queue) => {
      const states = await raftStates(nodes, queue);
      const leader = nodes[states.indexOf('leader')];
      if (leader === undefined) throw new Error(`'${queue}' has no leader, but ${states.join(', ')}`);
      return leader;
    },
    lead: async (queue, node) => {
      const hostname = HOSTNAMES[nodes.indexOf(node)];
      const command = `ra:transfer_leadership(Leader, {Name, rabbit@${hostname}})`;
      await eventually(async () => {
        await node.rabbitmqctl(
          'eval',
          `${memberOf(queue)}, {ok, _, Leader} = ra:members({Name, node()}), ${command}.`,
        );
        return (await raftStates([node], queue))[0] === 'leader';
      });
    },
    untilWhole: async (queue) => {
      await eventually(
        async () => (await raftStates(nodes, queue)).sort().join() === 'follower,follower,leader',
        {
          timeoutMs: 60_000,
        },
      );
    },
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
      await docker('network', 'rm', network);
    },
  };
}

async function sees(node: BrokerContainer, count: number): Promise<boolean> {
  const running = await node.rabbitmqctl('eval', 'length(rabbit_nodes:list_running()).');
  return Number(running) === count;
}

/** What each node's member of the quorum queue says of itself: leader, follower, or a state in between. */
function raftStates(nodes: readonly BrokerContainer[], queue: string): Promise<string[]> {
  const command = `${memberOf(queue)}, element(2, lists:keyfind(Name, 1, ets:tab2list(ra_state))).`;
  return Promise.all(nodes.map(async (node) => (await node.rabbitmqctl('eval', command)).trim()));
}

/** Binds `Name` to what the members of the quorum queue are called, on each node the same. */
function memberOf(queue: string): string {
  return `
    {ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)),
    {Name, _} = amqqueue:get_pid(Queue)`;
}

async function docker(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run('docker', args, { timeoutMs: COMMAND_LIMIT_MS });
  if (exitCode !== 0) throw new Error(`docker ${args.join(' ')} failed: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}
