import type { Broker, Delivery } from '../broker.js';
import { isRequest } from '../common/reply-format.js';
import { processTracing } from '../common/tracing.js';
import type { DecodedValue } from '../queue.js';
import { answer } from './answer.js';
import type { MutableCounts } from './counts.js';
import type { ConsumerEvent } from './events.js';
import {
  failureOf,
  type Handler,
  type HandlerRun,
  type HandlerWarning,
  handled,
  isThenable,
} from './handler-run.js';
import { type Outcome, type Settlement, settlementFor } from './settlement.js';
import { slowWarning } from './slow-warning.js';

/** All that handling a message depends on and that stays the same from message to message. */
export interface ProcessSettings<Out> {
  readonly queue: string;
  /** The value of a delivery, or why it can't be had. */
  readonly decode: (delivery: Delivery) => DecodedValue<Out> | Promise<DecodedValue<Out>>;
  readonly handler: Handler<Out>;
  readonly handlerTimeoutMs: number;
  readonly delaysMs: readonly number[];
  /** For the replies to requests. */
  readonly broker: Pick<Broker, 'publish'>;
  readonly emit: ((event: ConsumerEvent) => void) | undefined;
  readonly counts: MutableCounts;
  /** From now on it is the handler that is waited for. */
  readonly onWaiting: (run: HandlerRun) => void;
  /** The message has been settled, or is not this consumer's any more. */
  readonly onDone: (delivery: Delivery, run: HandlerRun) => void;
}

/**
 * The way of one message: decode, validate, handle, reply where it is a request, settle. Never rejects. Waits only for
 * what is a promise, since most of what it calls is not and each wait costs as much as the rest.
 */
export async function process<Out>(
  delivery: Delivery,
  run: HandlerRun,
  settings: ProcessSettings<Out>,
): Promise<void> {
  const decoding = settings.decode(delivery);
  const decoded = decoding instanceof Promise ? await decoding : decoding;
  let outcome: Outcome;
  if (decoded.ok) {
    try {
      const returned = processTracing.hasSubscribers
        ? handleTraced(settings.handler, decoded.value, run)
        : settings.handler(decoded.value, run);
      if (isThenable(returned)) limitTime(delivery, run, settings);
      // Also for what is no promise: handlers that never wait would otherwise run within one another.
      outcome = handled(await returned);
    } catch (error) {
      outcome = failureOf(error);
    }
    if (!run.end()) return;
  } else {
    outcome = { type: 'hopeless', code: decoded.failure.code, text: decoded.failure.error };
  }
  const finishing = finish(delivery, run, outcome, settings);
  if (finishing !== undefined) await finishing;
  settings.onDone(delivery, run);
}

/** Ends the run of a message at its time limit, in place of its handler. Never rejects. */
export async function expire<Out>(
  delivery: Delivery,
  run: HandlerRun,
  settings: ProcessSettings<Out>,
): Promise<void> {
  await finish(delivery, run, run.expire(settings.handlerTimeoutMs), settings);
  settings.onDone(delivery, run);
}

/** Replies and settles. A promise only where something has to be stored. Never throws or rejects. */
function finish<Out>(
  delivery: Delivery,
  run: HandlerRun,
  outcome: Outcome,
  settings: ProcessSettings<Out>,
): Promise<void> | undefined {
  if (run.abandoned) return undefined;
  const settlement = settlementFor(outcome, delivery.attempt, settings.delaysMs);
  const { message } = delivery;
  if (!isRequest(message) || settlement.verb === 'retry') {
    return settle(delivery, settlement, outcome, settings);
  }
  // Before it is settled: were the process to die in between, the request would be answered twice and not never.
  return answer(message, outcome, settings.broker).then(() =>
    run.abandoned ? undefined : settle(delivery, settlement, outcome, settings),
  );
}

function handleTraced<Out>(handler: Handler<Out>, value: Out, run: HandlerRun): Promise<unknown> {
  const { queue, id, attempt, redelivered, headers, correlationId } = run;
  const trace = { queue, id, attempt, redelivered, headers, correlationId };
  return processTracing.tracePromise(async () => handler(value, run), trace);
}

function limitTime<Out>(delivery: Delivery, run: HandlerRun, settings: ProcessSettings<Out>): void {
  const warning = warningOf(delivery, settings);
  if (settings.handlerTimeoutMs === Number.POSITIVE_INFINITY && warning === undefined) return;
  run.limit(performance.now() + settings.handlerTimeoutMs, warning);
  settings.onWaiting(run);
}

/** What to tell of a handler that takes long, where somebody listens. */
function warningOf(
  delivery: Delivery,
  { queue, handlerTimeoutMs, emit }: Pick<ProcessSettings<never>, 'queue' | 'handlerTimeoutMs' | 'emit'>,
): HandlerWarning | undefined {
  if (emit === undefined) return undefined;
  const { settleWithinMs, receivedAt } = delivery;
  const heldMs = receivedAt === undefined ? 0 : performance.now() - receivedAt;
  const warning = slowWarning({ handlerTimeoutMs, settleWithinMs, heldMs });
  if (warning === undefined) return undefined;
  const { afterMs, leftMs, limit } = warning;
  return {
    at: performance.now() + afterMs,
    tell: () => emit({ type: 'slow', ...deliveryInfo(queue, delivery), limit, leftMs }),
  };
}

/** A promise only where the settlement has to be stored. Never throws or rejects. */
function settle(
  delivery: Delivery,
  settlement: Settlement,
  outcome: Outcome,
  { queue, emit, counts }: Pick<ProcessSettings<never>, 'queue' | 'emit' | 'counts'>,
): Promise<void> | undefined {
  if (settlement.verb === 'ack') {
    delivery.ack();
    counts.handled++;
    emit?.({ type: 'handled', ...deliveryInfo(queue, delivery) });
    return undefined;
  }
  const error = outcome.type === 'handled' ? undefined : outcome.error;
  const { failure } = settlement;
  const stored =
    settlement.verb === 'retry' ? delivery.retry(settlement.delayMs, failure) : delivery.deadLetter(failure);
  return stored.then(
    () => {
      const info = deliveryInfo(queue, delivery);
      if (settlement.verb === 'retry') {
        counts.retried++;
        emit?.({ type: 'retried', ...info, delayMs: settlement.delayMs, failure, error });
      } else {
        counts.deadLettered++;
        emit?.({ type: 'dead-lettered', ...info, failure, error });
      }
    },
    (error: Error) => {
      counts.settleFailed++;
      emit?.({ type: 'settle-failed', ...deliveryInfo(queue, delivery), error });
    },
  );
}

export function deliveryInfo(queue: string, { message, attempt, redelivered }: Delivery) {
  return { queue, id: message.id, attempt, redelivered };
}
