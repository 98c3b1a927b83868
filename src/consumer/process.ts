import type { Broker, Delivery } from '../broker.js';
import type { DecodedValue } from '../queue.js';
import { isRequest } from '../reply-format.js';
import { answer } from './answer.js';
import type { ConsumerEvent } from './events.js';
import type { Handler, HandlerRun } from './handler.js';
import { type Outcome, type Settlement, settlementFor } from './settlement.js';

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
}

/**
 * The way of one message: decode, validate, handle, reply where it is a request, settle. Never rejects. Waits only for what is a promise, since
 * most of what it calls is not and each wait costs as much as the rest.
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
    const running = run.outcome(settings.handler, decoded.value, settings.handlerTimeoutMs);
    outcome = running instanceof Promise ? await running : running;
  } else {
    outcome = { type: 'hopeless', code: decoded.failure.code, text: decoded.failure.error };
  }
  if (run.abandoned) return;
  const settlement = settlementFor(outcome, delivery.attempt, settings.delaysMs);
  // Before it is settled: were the process to die in between, the request would be answered twice and not never.
  if (isRequest(delivery.message) && settlement.verb !== 'retry') {
    await answer(delivery.message, outcome, settings.broker);
    if (run.abandoned) return;
  }
  const settling = settle(delivery, settlement, outcome, settings);
  if (settling !== undefined) await settling;
}

/** A promise only where the settlement has to be stored. Never throws or rejects. */
function settle(
  delivery: Delivery,
  settlement: Settlement,
  outcome: Outcome,
  { queue, emit }: Pick<ProcessSettings<never>, 'queue' | 'emit'>,
): Promise<void> | undefined {
  if (settlement.verb === 'ack') {
    delivery.ack();
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
        emit?.({ type: 'retried', ...info, delayMs: settlement.delayMs, failure, error });
      } else {
        emit?.({ type: 'dead-lettered', ...info, failure, error });
      }
    },
    (reason: Error) => emit?.({ type: 'settle-failed', ...deliveryInfo(queue, delivery), error: reason }),
  );
}

export function deliveryInfo(queue: string, { message, attempt, redelivered }: Delivery) {
  return { queue, id: message.id, attempt, redelivered };
}
