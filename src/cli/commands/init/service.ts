/** The files of the service that `millrace init` writes, by their paths. */

export function serviceFiles(name: string, version: string): Readonly<Record<string, string>> {
  return {
    'package.json': packageJson(name, version),
    'tsconfig.json': TSCONFIG,
    'src/queues.ts': QUEUES,
    'src/handle-order.ts': HANDLE_ORDER,
    'src/api.ts': API,
    'src/worker.ts': WORKER,
    'test/orders.test.ts': TEST,
    'compose.yaml': COMPOSE,
    Dockerfile: DOCKERFILE,
    '.dockerignore': 'node_modules\ndist\nqueues\n',
    '.gitignore': 'node_modules\ndist\nqueues\n',
    'README.md': readme(name),
  };
}

function packageJson(name: string, version: string): string {
  const content = {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    engines: { node: '>=22.13' },
    scripts: {
      build: 'tsc',
      test: 'tsc && node --test dist/test/orders.test.js',
      api: 'tsc && node dist/src/api.js',
      worker: 'tsc && node dist/src/worker.js',
    },
    dependencies: { millrace: `^${version}`, zod: '^4.0.0' },
    devDependencies: { '@types/node': '^22.0.0', typescript: '^5.9.0' },
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

const TSCONFIG = `{
  "compilerOptions": {
    "module": "nodenext",
    "target": "es2023",
    "lib": ["es2023", "esnext.disposable"],
    "types": ["node"],
    "strict": true,
    "skipLibCheck": true,
    "rootDir": ".",
    "outDir": "dist"
  },
  "include": ["src", "test"]
}
`;

const QUEUES = `import { defineQueue } from 'millrace';
import { z } from 'zod';

export const orderSchema = z.object({ id: z.string().min(1), total: z.number().positive() });
export type Order = z.infer<typeof orderSchema>;

export const orders = defineQueue('orders', orderSchema);

/** Queues in a folder until MILLRACE_URL names a broker, such as amqp://localhost. */
export const address = process.env.MILLRACE_URL ?? 'local:./queues';
`;

const HANDLE_ORDER = `import { type HandlerContext, RejectMessage } from 'millrace';
import type { Order } from './queues.js';

/** Returns: done. Throws: retried later, and finally a dead letter. A message may be delivered twice: deduplicate by \`id\`. */
export async function handleOrder(order: Order, { attempt }: Pick<HandlerContext, 'attempt'>): Promise<void> {
  // A dead letter at once, because a retry would not help.
  if (order.total > 10_000) throw new RejectMessage(\`order \${order.id} needs an approval\`);
  console.log(\`order \${order.id}: \${order.total} (attempt \${attempt})\`);
}
`;

const API = `import { createServer, type IncomingMessage } from 'node:http';
import { closeOnSignals, connect, createProducer, isQueueError } from 'millrace';
import { address, type Order, orders } from './queues.js';

const MAX_BODY_BYTES = 65_536;

const broker = await connect(address, { logger: console, connectTimeoutMs: 60_000 });
const producer = createProducer(broker, orders, { timeoutMs: 5000 });

const server = createServer(async (request, response) => {
  const answer = (status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (request.url === '/readyz') return answer(broker.state === 'connected' ? 200 : 503, { broker: broker.state });
  if (request.method !== 'POST' || request.url !== '/orders') return answer(404, { error: 'POST /orders' });
  try {
    // The schema of the queue checks it; once this resolves, the order is stored.
    const { id } = await producer.send(JSON.parse(await bodyOf(request)) as Order);
    return answer(202, { id });
  } catch (error) {
    if (error instanceof SyntaxError || isQueueError(error, 'INVALID_MESSAGE')) {
      return answer(400, { error: error.message });
    }
    console.error(error);
    return answer(503, { error: 'the order could not be stored; try again' });
  }
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) throw new SyntaxError(\`a body has at most \${MAX_BODY_BYTES} bytes\`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const port = Number(process.env.PORT ?? 3000);
server.listen(port, () => {
  const bound = server.address();
  console.log(\`listening on port \${typeof bound === 'object' ? bound?.port : port}\`);
});
// First the server, so that no request finds the broker closed.
closeOnSignals(broker, [{ stop: () => new Promise((resolve) => server.close(resolve)) }]);
`;

const WORKER = `import { closeOnSignals, connect, createConsumer } from 'millrace';
import { handleOrder } from './handle-order.js';
import { address, orders } from './queues.js';

const broker = await connect(address, { logger: console, connectTimeoutMs: 60_000 });
const consumer = createConsumer(broker, orders, handleOrder, { concurrency: 4 });
await consumer.start();
console.log(\`waiting for orders at \${broker.url}\`);
// At SIGTERM running handlers finish, and the rest stays in the queue.
closeOnSignals(broker, [consumer]);
`;

const TEST = `import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, createConsumer, createProducer, RejectMessage } from 'millrace';
import { createContext } from 'millrace/testing';
import { handleOrder } from '../src/handle-order.js';
import { type Order, orders } from '../src/queues.js';

test('a large order waits for an approval', async () => {
  await assert.rejects(handleOrder({ id: 'A-1', total: 20_000 }, createContext()), RejectMessage);
});

test('an order goes from the API to the worker', async () => {
  const broker = await connect('local:');
  let arrived: (order: Order) => void = () => {};
  const arrival = new Promise<Order>((resolve) => {
    arrived = resolve;
  });
  const consumer = createConsumer(broker, orders, (order) => arrived(order));
  await consumer.start();
  await createProducer(broker, orders).send({ id: 'A-1', total: 12.5 });
  assert.deepEqual(await arrival, { id: 'A-1', total: 12.5 });
  await consumer.stop();
  await broker.close();
});
`;

const COMPOSE = `services:
  rabbitmq:
    image: rabbitmq:4.3-management-alpine
    # The node's name, and with it the folder of its data, is made of the host name.
    hostname: rabbitmq
    ports:
      - 127.0.0.1:5672:5672
      - 127.0.0.1:15672:15672
    volumes:
      - rabbitmq-data:/var/lib/rabbitmq
    healthcheck:
      test: [CMD, rabbitmq-diagnostics, -q, check_port_connectivity]
      interval: 15s
      timeout: 10s
      start_period: 30s
    restart: unless-stopped

  api:
    build: .
    command: [node, dist/src/api.js]
    environment:
      MILLRACE_URL: amqp://rabbitmq
    ports:
      - 127.0.0.1:3000:3000
    depends_on:
      rabbitmq:
        condition: service_healthy
    init: true
    restart: unless-stopped
    stop_grace_period: 35s

  worker:
    build: .
    command: [node, dist/src/worker.js]
    environment:
      MILLRACE_URL: amqp://rabbitmq
    depends_on:
      rabbitmq:
        condition: service_healthy
    init: true
    restart: unless-stopped
    # Longer than running handlers may take to finish.
    stop_grace_period: 35s

volumes:
  rabbitmq-data:
`;

const DOCKERFILE = `FROM node:24-slim AS build
WORKDIR /app
COPY package*.json ./
RUN npm ci
COPY . .
RUN npx tsc && npm prune --omit=dev

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
CMD ["node", "dist/src/worker.js"]
`;

function readme(name: string): string {
  return `# ${name}

An API that takes orders, and a worker that handles them.

\`\`\`sh
npm install
npm test
npm run worker
npm run api        # in another terminal
curl -d '{"id":"A-1","total":12.5}' localhost:3000/orders
\`\`\`

The queue is in the folder \`queues\`, shared by all processes that run here. With RabbitMQ only the address changes:

\`\`\`sh
docker compose up --build
\`\`\`

| file | what it is |
|---|---|
| \`src/queues.ts\` | the queue, its schema, and the address of the broker |
| \`src/api.ts\` | sends: answers 202 once an order is stored, 400 for one that fails the schema, 503 without a broker |
| \`src/worker.ts\`, \`src/handle-order.ts\` | handles, with retries and dead letters |
| \`test/orders.test.ts\` | calls the handler alone, and runs both sides in memory |

\`npx millrace queues -u local:./queues\` lists the queues, \`npx millrace dlq list -q orders -u local:./queues\` the dead letters, and \`npx millrace dlq replay -q orders -u local:./queues\` sends them back.
`;
}
