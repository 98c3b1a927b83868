/** The outcome of a worker: its counts as a log line, and its exit code. */
import type { BrokerCounts } from '../../../broker.js';
import type { EventLine } from '../../../common/reporting/event-line.js';
import type { ConsumerCounts, ConsumerEvent } from '../../../consumer/consumer.js';
import { EXIT, type ExitCode } from '../../exit-code.js';

const WORDS: Readonly<Record<keyof (ConsumerCounts & BrokerCounts), string>> = {
  handled: 'handled',
  retried: 'retried',
  postponed: 'postponed',
  deadLettered: 'dead-lettered',
  expired: 'expired',
  released: 'returned',
  lost: 'lost before settling',
  settleFailed: 'failed to settle',
  redelivered: 'redelivered',
  resent: 'sent again',
  disconnected: 'connections lost',
  blocked: 'times blocked',
  unsubscribed: 'subscriptions lost',
  resubscribed: 'subscriptions renewed',
};

/** The text has the counts above 0, the fields all of them. `event`: `counts` while running, `summary` at the end. */
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

/** The message comes again. */
const UNRESOLVED: readonly ConsumerEvent['type'][] = ['retried', 'postponed', 'lost', 'settle-failed'];

/** Collects the outcomes of messages, for the exit code of a worker with `--count` or `--drain`. */
export class Tally {
  handled = 0;
  #deadLettered = 0;
  /** Failed messages that still wait for their retry. */
  readonly #unresolved = new Set<string>();

  add(event: ConsumerEvent): void {
    if (event.type === 'handled') {
      this.handled++;
      this.#unresolved.delete(event.id);
    } else if (event.type === 'dead-lettered') {
      this.#deadLettered++;
      this.#unresolved.delete(event.id);
    } else if ('id' in event && UNRESOLVED.includes(event.type)) {
      this.#unresolved.add(event.id);
    }
  }

  get exitCode(): ExitCode {
    const failed = this.#deadLettered + this.#unresolved.size;
    if (failed === 0) return this.handled === 0 ? EXIT.empty : EXIT.ok;
    return this.handled === 0 ? EXIT.failed : EXIT.partial;
  }
}
