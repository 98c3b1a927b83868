import { createServer } from 'node:net';
import { RabbitMQContainer } from '@testcontainers/rabbitmq';
import { OWNER_LABEL } from './container-owner.js';

const AMQP_PORT = 5672;
const MANAGEMENT_PORT = 15672;
const SHUTDOWN_LIMIT_MS = 30_000;

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
  stop(): Promise<void>;
}

export async function startBrokerContainer(image: string, owner: string): Promise<BrokerContainer> {
  const started = await new RabbitMQContainer(image)
    .withLabels({ [OWNER_LABEL]: owner })
    // A port of our choice: one that Docker chooses is another one after a restart.
    .withExposedPorts({ container: AMQP_PORT, host: await freePort() })
    .withStartupTimeout(120_000)
    .start();
  // 'localhost' may be ::1 first, where a port that is published on 127.0.0.1 alone does not answer.
  const host = started.getHost().replace(/^localhost$/, '127.0.0.1');
  return {
    id: started.getId(),
    amqpUrl: `amqp://guest:guest@${host}:${started.getMappedPort(AMQP_PORT)}`,
    managementUrl: `http://guest:guest@${host}:${started.getMappedPort(MANAGEMENT_PORT)}`,
    restart: () => started.restart({ timeout: SHUTDOWN_LIMIT_MS }),
    crash: () => started.restart({ timeout: 0 }),
    stop: async () => {
      await started.stop({ timeout: 0 });
    },
  };
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
