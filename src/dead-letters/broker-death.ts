/** What RabbitMQ itself wrote onto a message that it moved to a dead-letter queue (https://www.rabbitmq.com/docs/dlx). */

export interface BrokerDeath {
  readonly reason: string;
  /** The queue that it was moved from. */
  readonly queue: string;
  /** How often it was moved from there for that reason. */
  readonly count: number;
  /** ISO 8601. */
  readonly deadAt: string | undefined;
}

/**
 * The last death in the header `x-death`, which backends hand on as JSON: the newest stands first. Undefined where
 * there is none that can be read.
 */
export function brokerDeath(headers: Readonly<Record<string, string>>): BrokerDeath | undefined {
  const last: unknown = firstOf(parse(headers['x-death']));
  if (typeof last !== 'object' || last === null) return undefined;
  const { reason, queue, count, time } = last as Readonly<Record<string, unknown>>;
  if (typeof reason !== 'string' || typeof queue !== 'string') return undefined;
  return {
    // The one that the toolkit knows as well, under its own spelling.
    reason: reason === 'delivery_limit' ? 'delivery-limit' : reason,
    queue,
    count: typeof count === 'number' ? count : 1,
    deadAt: toIsoTime(time),
  };
}

/** What the broker's reasons mean, in a sentence's words. */
export function describeDeath({ reason }: BrokerDeath): string {
  return DESCRIPTIONS[reason] ?? '';
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  rejected: 'rejected by a consumer',
  expired: 'its time to live was over before anybody took it',
  maxlen: 'its queue was at its maximum length',
  'delivery-limit': 'delivered again and again without being settled',
};

/** AMQP's timestamps are seconds; amqplib hands them over as `{ '!': 'timestamp', value }`. */
function toIsoTime(time: unknown): string | undefined {
  const seconds = typeof time === 'object' && time !== null && 'value' in time ? time.value : time;
  if (typeof seconds !== 'number') return undefined;
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined;
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
