/** RabbitMQ's record, in the headers of a message, of its deliveries and moves between queues. */
import type { MessageHeaders } from '../../broker.js';
import { latestDeath } from '../../common/message/broker-headers.js';
import { deadLetterFields, deadLetterHistory } from '../../common/message/dead-letter-headers.js';
import { FIRST_ERROR } from '../../common/message/failure-headers.js';
import { attemptOf } from '../../common/message/retry-headers.js';
import type { HeaderTable } from './header-table.js';

/** Whether the broker gave the message up. A message whose retry delay has elapsed has the reason `expired`, too. */
export function isDeadLetter(values: MessageHeaders): boolean {
  const death = latestDeath(values);
  return death !== undefined && (death.reason !== 'expired' || 'original-expiration' in death);
}

/**
 * RabbitMQ moves a message itself when its queue's delivery limit is exceeded, and records that in its own form
 * (`x-death`, https://www.rabbitmq.com/docs/dlx). Readers of dead letters get it in the toolkit's form.
 */
export function withBrokerDeath(headers: HeaderTable, values: MessageHeaders): MessageHeaders {
  if (deadLetterHistory(values) !== undefined) return values;
  const last = latestDeath(values);
  if (last?.reason !== 'delivery_limit' || typeof last.queue !== 'string') return values;
  const firstError = values[FIRST_ERROR];
  const death = deadLetterFields(firstError === undefined ? {} : { [FIRST_ERROR]: firstError }, {
    queue: last.queue,
    // It counts all failed deliveries, one of which `attemptOf` already includes.
    attempt: attemptOf(values) - 1 + (countOf(headers, 'x-delivery-count') || 1),
    failure: { code: 'delivery-limit', error: 'delivered again and again without being settled' },
    deadAt: last.time instanceof Date ? last.time : undefined,
  });
  return { ...values, ...death };
}

/** A count that the broker wrote; 0 for anything else. */
export function countOf({ values }: HeaderTable, name: string): number {
  const count = Object.hasOwn(values, name) ? values[name] : undefined;
  return typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 0;
}
