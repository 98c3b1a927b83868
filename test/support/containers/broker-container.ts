import { createServer } from 'node:net';
import { RabbitMQContainer } from '@testcontainers/rabbitmq';
import { run } from '../command.js';
import { eventually } from '../eventually.js';
import { OWNER_LABEL } from './container-owner.js';

const AMQP_PORT = 5672;
const MANAGEMENT_PORT = 15672;
const TLS_PORT = 5671;
const SHUTDOWN_LIMIT_MS = 30_000;
/** A busy machine takes its time, and a command that hangs is the only thing that this is to end. */
const COMMAND_LIMIT_MS = 120_000;

export interface BrokerContainer {
  readonly id: string;
  readonly amqpUrl: string;
  readonly managementUrl: string;
  /** Shuts the broker down properly and waits until it serves again at the same address. */
  restart(): Promise<void>;
  /**
   * Kills the broker and waits until it serves again at the same address. RabbitMQ 4.3 writes a new quorum queue's
   * name to disk three seconds late: killed before, it comes back with that queue empty, confirmed or not.
   */
  crash(): Promise<void>;
  /** Kills the broker (SIGKILL) and leaves it dead until `start`. */
  kill(): Promise<void>;
  /** Waits until the broker serves again at the same address. */
  start(): Promise<void>;
  /** No process of it gets any time: connections stay, and nothing answers, until `unpause`. */
  pause(): Promise<void>;
  unpause(): Promise<void>;
  /** Runs `rabbitmqctl` inside and returns what it prints. */
  rabbitmqctl(...args: string[]): Promise<string>;
  /** Writes a file inside. What the broker reads when it starts takes effect with the next `restart`. */
  write(path: string, content: string): Promise<void>;
  /** The port for TLS, if the broker is configured for it. Another one after each start. */
  tlsPort(): Promise<number>;
  stop(): Promise<void>;
}

/** What makes a broker one node of several. */
export interface ClusterMembership {
  readonly network: string;
  /** Its node is `rabbit@<hostname>`. */
  readonly hostname: string;
  readonly hostnames: readonly string[];
  readonly cookie: string;
}

export async function startBrokerContainer(
  image: string,
  owner: string,
  cluster?: ClusterMembership,
): Promise<BrokerContainer> {
  const container = new RabbitMQContainer(image)
    .withLabels({ [OWNER_LABEL]: owner })
    // A port of our choice: one that Docker chooses is another one after a restart.
    .withExposedPorts({ container: AMQP_PORT, host: await freePort() })
    .withStartupTimeout(120_000);
  if (cluster !== undefined) join(container, cluster);
  const started = await container.start();
  const id = started.getId();
  // 'localhost' may be ::1 first, where a port that is published on 127.0.0.1 alone does not answer.
  const host = started.getHost().replace(/^localhost$/, '127.0.0.1');
  return {
    id,
    amqpUrl: `amqp://guest:guest@${host}:${started.getMappedPort(AMQP_PORT)}`,
    managementUrl: `http://guest:guest@${host}:${started.getMappedPort(MANAGEMENT_PORT)}`,
    restart: () => started.restart({ timeout: SHUTDOWN_LIMIT_MS }),
    crash: () => started.restart({ timeout: 0 }),
    kill: async () => {
      await docker('kill', id);
    },
    // Docker starts a stopped container when it is restarted.
    start: () => started.restart({ timeout: 0 }),
    pause: () => setPaused(id, true),
    unpause: () => setPaused(id, false),
    rabbitmqctl: (...args) => rabbitmqctlIn(id, args),
    write: async (path, content) => {
      await docker('exec', id, 'sh', '-c', 'printf %s "$2" >"$1"', 'sh', path, content);
    },
    tlsPort: async () => Number(/:(\d+)$/m.exec(await docker('port', id, String(TLS_PORT)))?.[1]),
    stop: async () => {
      await started.stop({ timeout: 0 });
    },
  };
}

/** Runs `rabbitmqctl` inside a broker's container and returns what it prints. */
export function rabbitmqctlIn(container: string, args: readonly string[]): Promise<string> {
  return docker('exec', container, 'rabbitmqctl', '--quiet', ...args);
}

function join(
  container: RabbitMQContainer,
  { network, hostname, hostnames, cookie }: ClusterMembership,
): void {
  const nodes = hostnames.map(
    (name, index) => `cluster_formation.classic_config.nodes.${index + 1} = rabbit@${name}`,
  );
  container
    .withNetworkMode(network)
    .withNetworkAliases(hostname)
    .withHostname(hostname)
    // The cookie's file would have to belong to the broker's user, whose number differs from image to image.
    .withEnvironment({ RABBITMQ_ERLANG_COOKIE: cookie })
    .withCopyContentToContainer([
      {
        target: '/etc/rabbitmq/conf.d/20-cluster.conf',
        content: ['cluster_formation.peer_discovery_backend = classic_config', ...nodes, ''].join('\n'),
        mode: 0o644,
      },
    ]);
}

/** The engine gives up where the processes of the container do not freeze at once, as on a busy machine. */
async function setPaused(id: string, paused: boolean): Promise<void> {
  await eventually(
    async () => {
      const isPaused = async () => (await docker('inspect', '--format', '{{.State.Paused}}', id)).trim();
      if ((await isPaused()) !== String(paused)) await docker(paused ? 'pause' : 'unpause', id);
      return true;
    },
    { timeoutMs: COMMAND_LIMIT_MS, intervalMs: 500 },
  );
}

async function docker(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run('docker', args, { timeoutMs: COMMAND_LIMIT_MS });
  if (exitCode !== 0) throw new Error(`docker ${args.join(' ')} failed: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
      server.close(() => resolve(address.port));
    });
  });
}
