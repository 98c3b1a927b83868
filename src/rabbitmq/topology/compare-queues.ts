import type { QueueSpec } from '../../broker.js';
import { parseAddress } from '../address.js';
import {
  isNotFound,
  type Mismatch,
  mismatchOf,
  mismatchText,
  queueError,
} from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import { withConnection } from '../connection/server-facts.js';
import type { RabbitMqOptions } from '../options.js';
import {
  deadLetterQueueDeclaration,
  delaysRetries,
  type QueueDeclaration,
  type QueueOptions,
  queueDeclaration,
} from './queue-arguments.js';
import type { QueueCounts } from './topology.js';

/** How a queue on the broker compares with its definition. */
export interface QueueComparison {
  readonly name: string;
  /** Undefined if the queue does not exist. */
  readonly stats: QueueCounts | undefined;
  /** The properties for which a declaration is refused: `x-max-length is 10 there and 5 here`. */
  readonly differences: readonly string[];
  /** Whether the definition has `delayedRetry`, but the queue was declared without it and is used as it is. */
  readonly lacksDelayedRetry: boolean;
}

/**
 * Compares the queue and the dead-letter queue of a definition with those on the broker. Creates no queue, and needs
 * only the permission to declare. Rejects: `UNREACHABLE`, `ACCESS_REFUSED`, `BROKER_ERROR`.
 */
export function compareQueues(
  address: string,
  spec: QueueSpec,
  options: RabbitMqOptions,
): Promise<QueueComparison[]> {
  return withConnection(parseAddress(address), options, async (connection) => {
    const { version } = connection;
    const isMatched = spec.declare === 'match';
    const queue = await compare(connection, queueDeclaration(spec, version), isMatched);
    if (spec.deadLetter === false) return [queue];
    const { queue: name, capacity } = spec.deadLetter;
    return [queue, await compare(connection, deadLetterQueueDeclaration(name, capacity, version), isMatched)];
  });
}

async function compare(
  connection: Connection,
  declaration: QueueDeclaration,
  isMatched: boolean,
): Promise<QueueComparison> {
  const { name } = declaration;
  try {
    const { messageCount, consumerCount } = await onOwnChannel(connection, (channel) =>
      channel.checkQueue(name),
    );
    const stats = { ready: messageCount, consumers: consumerCount };
    if (!isMatched) return { name, stats, differences: [], lacksDelayedRetry: false };
    return { name, stats, ...(await compareWithForms(connection, declaration)) };
  } catch (error) {
    if (isNotFound(error)) return { name, stats: undefined, differences: [], lacksDelayedRetry: false };
    throw queueError(error, `comparing '${name}'`, name);
  }
}

/** The differences from whichever form of the declaration, current or earlier, is closest to the queue. */
async function compareWithForms(
  connection: Connection,
  { name, options, earlier }: QueueDeclaration,
): Promise<Pick<QueueComparison, 'differences' | 'lacksDelayedRetry'>> {
  let differences = await differencesFrom(connection, name, options);
  let nearest = options;
  for (const each of earlier) {
    if (differences.length === 0) break;
    const others = await differencesFrom(connection, name, each);
    if (others.length >= differences.length) continue;
    differences = others;
    nearest = each;
  }
  return { differences, lacksDelayedRetry: delaysRetries(options) && !delaysRetries(nearest) };
}

/**
 * The broker reports one difference per declaration. So the declaration is repeated, each time with the broker's value
 * for that property, until the broker accepts it.
 */
async function differencesFrom(
  connection: Connection,
  name: string,
  options: QueueOptions,
): Promise<readonly string[]> {
  const found: string[] = [];
  const flags: Record<string, unknown> = { ...options };
  const given: Record<string, unknown> = { ...options.arguments };
  // A different queue type makes other arguments illegal, so no further comparison is possible.
  while (!found.some((text) => text.startsWith('x-queue-type '))) {
    try {
      await onOwnChannel(connection, (channel) => channel.assertQueue(name, { ...flags, arguments: given }));
      break;
    } catch (error) {
      const mismatch = mismatchOf(error);
      if (mismatch === undefined) {
        if (found.length === 0) throw error;
        break;
      }
      const text = mismatchText(mismatch);
      // Refused although the broker's own value was used: without this check the loop would never end.
      if (found.includes(text) || found.length === 20) break;
      found.push(text);
      takeOver(mismatch, flags, given);
    }
  }
  return found;
}

/** amqplib's names for AMQP's flags of a queue. */
const FLAGS: Readonly<Record<string, string>> = { durable: 'durable', auto_delete: 'autoDelete' };

function takeOver(
  { property, there }: Mismatch,
  flags: Record<string, unknown>,
  given: Record<string, unknown>,
): void {
  const flag = FLAGS[property];
  if (flag !== undefined) {
    flags[flag] = there === "'true'" || there === 'true';
    return;
  }
  if (there === 'none') {
    delete given[property];
    return;
  }
  const [, value = there, type] = /^(?:the value )?'(.*?)'(?: of type '([^']*)')?$/s.exec(there) ?? [];
  // The broker omits the type if it is the requested one.
  given[property] = asType(value, type ?? AMQP_TYPES[typeof given[property]] ?? 'longstr');
}

const AMQP_TYPES: Readonly<Record<string, string>> = { number: 'long', boolean: 'bool', string: 'longstr' };

function asType(value: string, type: string): unknown {
  if (type === 'bool') return value === 'true';
  return type === 'longstr' ? value : Number(value);
}
