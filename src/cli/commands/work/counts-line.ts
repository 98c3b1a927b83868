/** How much a worker has done and what happened meanwhile, as a line for people or for machines. Pure. */
import type { BrokerCounts } from '../../../broker.js';
import type { ConsumerCounts } from '../../../consumer/counts.js';
import type { EventLine } from '../../event-line.js';

const WORDS: Readonly<Record<keyof (ConsumerCounts & BrokerCounts), string>> = {
  handled: 'handled',
  retried: 'retried',
  deadLettered: 'dead-lettered',
  released: 'given back',
  lost: 'taken away unfinished',
  settleFailed: 'not to be settled',
  redelivered: 'redelivered',
  resent: 'sent again',
  disconnected: 'connections lost',
  blocked: 'times blocked',
  unsubscribed: 'subscriptions lost',
  resubscribed: 'subscriptions renewed',
};

/** People are told what is not zero; machines get everything. `event`: `counts` on the way, `summary` at the end. */
export function countsLine(
  event: 'counts' | 'summary',
  queue: string,
  counts: ConsumerCounts & BrokerCounts,
): EventLine {
  const parts = (Object.keys(WORDS) as (keyof typeof WORDS)[])
    .filter((name) => counts[name] > 0 || name === 'handled')
    .map((name) => `${counts[name]} ${WORDS[name]}`);
  return { event, level: 'info', text: `'${queue}': ${parts.join(', ')}`, fields: { queue, ...counts } };
}
