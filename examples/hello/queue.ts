import { type Broker, defineQueue, isQueueError } from 'millrace';
import { backendOf } from 'millrace/backend';
import { z } from 'zod';

/** The kinds of the queue `hello` that tutorials declare: current ones, earlier ones, and the oldest. */
const KINDS = {
  quorum: { type: 'quorum' },
  classic: { type: 'classic' },
  transient: { type: 'classic', durable: false },
} as const;

/** Plain text, in a queue that is used as it is if it exists: the first declaration determines its kind. */
export function hello(name: string, kind = 'quorum') {
  if (!isKind(kind)) {
    console.error(`--kind: quorum, classic or transient, not ${kind}`);
    process.exit(2);
  }
  return defineQueue(name, z.string(), { codec: 'text', declare: 'if-missing', ...KINDS[kind] });
}

/** Declares the queue, and says so if it is new: programs that declare another kind will then be refused. */
export async function declareHello(broker: Broker, name: string, kind = 'quorum') {
  const queue = hello(name, kind);
  const isNew = await broker.inspect(name).then(
    () => false,
    (error) => {
      if (isQueueError(error, 'QUEUE_MISSING')) return true;
      throw error;
    },
  );
  await backendOf(broker).declare(queue.spec);
  if (isNew && broker.url.startsWith('amqp')) {
    console.log(
      ` [*] '${name}' was not there: this program made it, as a ${kind} queue. One that declares another kind is`,
    );
    console.log(
      '     refused: delete the queue and start that one first, or use --kind quorum, classic or transient here.',
    );
  }
  return queue;
}

function isKind(kind: string): kind is keyof typeof KINDS {
  return Object.hasOwn(KINDS, kind);
}
