import { emitWarning, QUIET_MS } from '../common/reporting/logger.js';
import { isQueueError } from '../errors.js';
import type { ConsumerEvent } from './consumer.js';
import { consumerEventLine } from './event-line.js';

const REMEDY = 'Set `observe` on the consumer or `logger` in connect() to see all';

type DeadLettered = Extract<ConsumerEvent, { readonly type: 'dead-lettered' }>;

/** What befalls messages without a failure of the handler, and the code of its warning. */
const ONCE = {
  expired: 'MILLRACE_EXPIRED',
  lost: 'MILLRACE_LOST',
  'reply-failed': 'MILLRACE_REPLY_FAILED',
} as const satisfies Partial<Record<ConsumerEvent['type'], string>>;

type Once = Extract<ConsumerEvent, { readonly type: keyof typeof ONCE }>;

/**
 * Process warnings of a consumer without `observe` or `logger`, so that nothing fails silently: about its first failure, about its
 * dead letters (at most one warning in ten seconds), about the first pause of its breaker, and about the first message that
 * can't be moved, has expired, was lost or could not be replied to.
 */
export class FailureWarnings {
  readonly #queue: string;
  /** Whether dead letters are kept. */
  readonly #keeps: boolean;
  #hasFailed = false;
  #hasBroken = false;
  #isStuck = false;
  readonly #told = new Set<Once['type']>();
  #isQuiet = false;
  #untold = 0;
  #last: DeadLettered | undefined;

  constructor(queue: string, keeps: boolean) {
    this.#queue = queue;
    this.#keeps = keeps;
  }

  readonly observe = (event: ConsumerEvent): void => {
    if (event.type === 'retried') this.#retried(event);
    else if (event.type === 'dead-lettered') this.#deadLettered(event);
    else if (event.type === 'settle-failed') this.#settleFailed(event);
    else if (event.type in ONCE) this.#once(event as Once);
    else if (event.type === 'paused' && event.forMs !== undefined) this.#broken(event);
    else if (event.type === 'ended') {
      const { message } = event.error;
      emitWarning('MILLRACE_CONSUMER_ENDED', `the consumer of '${this.#queue}' has ended: ${message}`);
    }
  };

  #retried(event: Extract<ConsumerEvent, { readonly type: 'retried' }>): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const text = `'${this.#queue}': ${textOf(event)}. Further failures are not reported. ${REMEDY}`;
    emitWarning('MILLRACE_ATTEMPT_FAILED', text, event.error);
  }

  /** Does nothing if the program closed the broker meanwhile. */
  #once(event: Once): void {
    const error = 'error' in event ? event.error : undefined;
    if (this.#told.has(event.type) || isQueueError(error, 'CLOSED')) return;
    this.#told.add(event.type);
    const text = `'${this.#queue}': ${textOf(event)}. Further ones are not reported. ${REMEDY}`;
    emitWarning(ONCE[event.type], text);
  }

  /** By its breaker: a pause that the program makes itself is no surprise. */
  #broken(event: Extract<ConsumerEvent, { readonly type: 'paused' }>): void {
    if (this.#hasBroken) return;
    this.#hasBroken = true;
    const text = `${textOf(event)} by its breaker, since its handlers fail. Further pauses are not reported. ${REMEDY}`;
    emitWarning('MILLRACE_BREAKER', text);
  }

  #deadLettered(event: DeadLettered): void {
    if (this.#isQuiet) {
      this.#untold++;
      this.#last = event;
      return;
    }
    this.#warn(event, '');
    this.#beQuiet();
  }

  #beQuiet(): void {
    this.#isQuiet = true;
    const timer = setTimeout(() => {
      this.#isQuiet = false;
      if (this.flush()) this.#beQuiet();
    }, QUIET_MS);
    timer.unref();
  }

  /** Reports the dead letters that were only counted so far, and returns whether there were any. */
  flush(): boolean {
    const [last, others] = [this.#last, this.#untold - 1];
    this.#last = undefined;
    this.#untold = 0;
    if (last === undefined) return false;
    this.#warn(last, others === 0 ? '' : `, and ${others} more before it`);
    return true;
  }

  #warn(event: DeadLettered, others: string): void {
    const fate = this.#keeps ? '' : ' It was dropped: the queue keeps no dead letters.';
    const text = `'${this.#queue}': ${textOf(event)}${others}.${fate} ${REMEDY}`;
    emitWarning('MILLRACE_DEAD_LETTER', text, event.error);
  }

  /** Does nothing if the program closed the broker meanwhile. */
  #settleFailed({ id, error }: Extract<ConsumerEvent, { readonly type: 'settle-failed' }>): void {
    if (this.#isStuck || isQueueError(error, 'CLOSED')) return;
    this.#isStuck = true;
    const text =
      `message ${id} of '${this.#queue}' could be neither retried nor moved to the dead-letter queue, ` +
      `and will be redelivered until it can: ${error.message}`;
    emitWarning('MILLRACE_SETTLE_FAILED', text, error);
  }
}

function textOf(event: ConsumerEvent): string {
  return (consumerEventLine(event)?.text ?? event.type).replace(/\.$/, '');
}
