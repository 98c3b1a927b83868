import type { Backend, Delivery, Message } from '../broker.js';
import { instrumentation } from '../common/hooks/instrumentation.js';
import { handlerTracking } from '../common/hooks/running-handler.js';
import { processTracing } from '../common/hooks/tracing.js';
import { isTooLarge } from '../common/message/create-and-check.js';
import { isExpired } from '../common/message/expiry.js';
import { isThenable } from '../common/options.js';
import { Deadlines, Deferred } from '../common/waiting/waiting.js';
import type { DecodedValue, Queue } from '../queue.js';
import { answer, isAnswered, type RepliesTo } from './answer.js';
import type { Handler } from './consumer.js';
import { Context, HandlerRun, handlerTimeout, type RunWarning } from './handler-run.js';
import type { OutcomeReport, StoredSettlement } from './outcome-report.js';
import {
  type Decoded,
  expired,
  handled,
  type Outcome,
  type Settlement,
  type SettlementPolicy,
  settlementFor,
  thrown,
  type Unhandled,
} from './settlement.js';
import { slowWarning } from './slow-warning.js';

/** Settings shared by all messages of a consumer. */
export interface HandlingSettings<Out> extends SettlementPolicy {
  readonly queue: string;
  /** The value of a delivery, or why there is none. Must not throw or reject. */
  readonly decode: (delivery: Delivery) => Decoded<Out> | Promise<Decoded<Out>>;
  readonly handler: Handler<Out>;
  /** The same handler, called while `handlerTracking` is on. */
  readonly tracked: Handler<Out>;
  /** It is only part of a batch, whose handling is traced there. */
  readonly isBatched?: boolean | undefined;
  readonly handlerTimeoutMs: number;
  readonly replies: RepliesTo;
  /** For the replies to requests. */
  readonly broker: Pick<Backend, 'publish' | 'url'>;
  readonly report: OutcomeReport;
  /** Called with the outcome of each handler, or of the schema before it. */
  readonly watch: ((outcome: Outcome) => void) | undefined;
  /** Whether handlers may still start. A run that may not start stays where it is. */
  readonly mayBegin: () => boolean;
  /** The schema or the handler is asynchronous: the run's time limit matters. */
  readonly onWaiting: (run: HandlerRun) => void;
  readonly onSettleFailed: (run: HandlerRun, error: Error) => void;
  /** Called once for each run that was not discarded, when its message is settled or no longer this consumer's. */
  readonly onDone: (run: HandlerRun) => void;
}

/**
 * Processes one message: decode, validate, handle, reply if it is a request, settle. Never rejects. Awaits a result only if
 * it is a promise: most are not, and each `await` costs as much as everything else.
 */
export async function handleMessage<Out>(run: HandlerRun, settings: HandlingSettings<Out>): Promise<void> {
  const decoding = settings.decode(run.delivery);
  if (decoding instanceof Promise) limitTime(run, settings);
  const decoded = decoding instanceof Promise ? await decoding : decoding;
  if (!settings.mayBegin() || !run.begin()) return;
  let outcome: Outcome;
  const { message } = run.delivery;
  if (message.expiresAt !== undefined && isExpired(message)) {
    outcome = expired(run.delivery.message.expiresAt);
  } else if (decoded.ok) {
    try {
      const context = new Context(run, settings.queue);
      const handler = handlerTracking.isOn ? settings.tracked : settings.handler;
      const returned = processTracing.hasSubscribers
        ? handleTraced(handler, decoded.value, context, settings)
        : handler(decoded.value, context);
      if (isThenable(returned)) limitTime(run, settings);
      // Awaited even if it is not a promise: synchronous handlers would otherwise run inside one another.
      outcome = handled(await returned);
    } catch (error) {
      outcome = thrown(error);
    }
  } else {
    outcome = decoded.outcome;
  }
  if (!run.end()) return;
  const finishing = finish(run, outcome, settings);
  if (finishing !== undefined) await finishing;
  settings.onDone(run);
}

/**
 * The value of a received message, or why there is none: the body is too large or undecodable, the value fails the schema,
 * or the schema threw, which may be temporary. Never throws or rejects.
 */
export function decode<Out>(
  message: Message,
  queue: Pick<Queue<never, Out>, 'decode'>,
  maxMessageBytes: number,
): Decoded<Out> | Promise<Decoded<Out>> {
  if (isTooLarge(message.body, maxMessageBytes)) {
    const text = `the body has ${Buffer.byteLength(message.body)} bytes, the limit is ${maxMessageBytes}`;
    return { ok: false, outcome: { type: 'hopeless', code: 'too-large', text } };
  }
  try {
    const decoding = queue.decode(message, maxMessageBytes);
    return decoding instanceof Promise ? decoding.then(toDecoded<Out>).catch(failed) : toDecoded(decoding);
  } catch (error) {
    return failed(error);
  }
}

function toDecoded<Out>(decoded: DecodedValue<Out>): Decoded<Out> {
  if (decoded.ok) return decoded;
  const { code, error: text } = decoded.failure;
  const { error } = decoded;
  return {
    ok: false,
    outcome: code === 'failed' ? { type: code, error, text } : { type: 'hopeless', code, text },
  };
}

function failed(error: unknown): { readonly ok: false; readonly outcome: Unhandled } {
  return { ok: false, outcome: thrown(error) };
}

/** Settles a message whose handler has timed out. Never rejects. */
export async function expire<Out>(run: HandlerRun, settings: HandlingSettings<Out>): Promise<void> {
  const error = handlerTimeout(settings.queue, run.delivery, settings.handlerTimeoutMs);
  run.expire(error);
  await finish(run, thrown(error), settings);
  settings.onDone(run);
}

/** Replies and settles. A promise only if something has to be stored. Never throws or rejects. */
function finish<Out>(
  run: HandlerRun,
  outcome: Outcome,
  settings: HandlingSettings<Out>,
): Promise<void> | undefined {
  if (run.abandoned) return undefined;
  settings.watch?.(outcome);
  const { message } = run.delivery;
  const settlement = settlementFor(outcome, run.delivery, settings);
  const isFinal = settlement.verb !== 'retry' && settlement.verb !== 'postpone';
  if (!isFinal || message.replyTo === undefined || !isAnswered(message, settings.replies)) {
    return settle(run, settlement, outcome, settings);
  }
  // The reply comes first: if the process dies in between, the request is answered twice rather than never.
  return answer(message, outcome, settings.broker).then((error) => {
    // Already reported as lost or released.
    if (run.abandoned) return undefined;
    if (error !== undefined) settings.report.replyFailed(run.delivery, error);
    return settle(run, settlement, outcome, settings);
  });
}

function handleTraced<Out>(
  handler: Handler<Out>,
  value: Out,
  context: Context,
  { broker, isBatched }: Pick<HandlingSettings<Out>, 'broker' | 'isBatched'>,
): Promise<unknown> {
  const { queue, id, exchange, routingKey, attempt, redelivered, headers, timestamp, correlationId } =
    context;
  const { url } = broker;
  // One literal: spreading one into another takes ten times as long.
  // biome-ignore format: a list of names
  const trace = { queue, id, url, exchange, routingKey, attempt, redelivered, headers, timestamp, correlationId };
  const handle = async () => handler(value, context);
  const around = isBatched === true ? undefined : instrumentation.current;
  const run = around === undefined ? handle : () => around.handle(handle, trace);
  return processTracing.tracePromise(run, trace);
}

function limitTime<Out>(run: HandlerRun, settings: HandlingSettings<Out>): void {
  const warning = warningOf(run.delivery, settings);
  if (settings.handlerTimeoutMs === Number.POSITIVE_INFINITY && warning === undefined) return;
  run.limit(performance.now() + settings.handlerTimeoutMs, warning);
  settings.onWaiting(run);
}

/**
 * Applies the time limit to decoding a message ahead of its run. `isWanted`: whether the message is still held.
 */
export function decodeInTime<Out>(
  delivery: Delivery,
  decoding: Decoded<Out> | Promise<Decoded<Out>>,
  settings: HandlingSettings<Out>,
  isWanted: () => boolean,
): Decoded<Out> | Promise<Decoded<Out>> {
  if (!(decoding instanceof Promise)) return decoding;
  const { queue, handlerTimeoutMs } = settings;
  const decoded = new Deferred<Decoded<Out>>();
  const run = new HandlerRun(delivery);
  run.limit(performance.now() + handlerTimeoutMs, warningOf(delivery, settings));
  const deadlines = new Deadlines((now) => {
    if (!isWanted()) return Number.POSITIVE_INFINITY;
    run.warnIfDue(now);
    if (!run.isOverdue(now)) return run.nextDue;
    decoded.resolve(failed(handlerTimeout(queue, delivery, handlerTimeoutMs)));
    return Number.POSITIVE_INFINITY;
  });
  deadlines.add(run.nextDue);
  decoding.then((result) => {
    deadlines.stop();
    decoded.resolve(result);
  });
  return decoded.promise;
}

/** The warning about a slow message, if there is an observer. */
function warningOf(
  delivery: Delivery,
  { handlerTimeoutMs, report }: Pick<HandlingSettings<never>, 'handlerTimeoutMs' | 'report'>,
): RunWarning | undefined {
  if (!report.isObserved) return undefined;
  const { settleWithinMs, receivedAt } = delivery;
  const heldMs = receivedAt === undefined ? 0 : performance.now() - receivedAt;
  const warning = slowWarning({ handlerTimeoutMs, settleWithinMs, heldMs });
  if (warning === undefined) return undefined;
  const { afterMs, leftMs, limit } = warning;
  return { at: performance.now() + afterMs, emit: () => report.slow(delivery, limit, leftMs) };
}

/** A promise only if the settlement has to be stored. Never throws or rejects. */
function settle<Out>(
  run: HandlerRun,
  settlement: Settlement,
  outcome: Outcome,
  { report, onSettleFailed }: HandlingSettings<Out>,
): Promise<void> | undefined {
  const { delivery } = run;
  if (settlement.verb === 'ack') {
    delivery.ack();
    report.handled(delivery);
    return undefined;
  }
  if (settlement.verb === 'drop') {
    delivery.ack();
    report.expired(delivery);
    return undefined;
  }
  const error = outcome.type === 'handled' ? undefined : outcome.error;
  run.storing = store(delivery, settlement).then(
    () => {
      // Already reported as lost or released.
      if (!run.abandoned) report.stored(delivery, settlement, error);
    },
    (error: Error) => {
      if (!run.abandoned) onSettleFailed(run, error);
    },
  );
  return run.storing;
}

/** Calls the method of the delivery that stores the settlement, and rejects as that does. */
export function store(delivery: Delivery, settlement: StoredSettlement): Promise<void> {
  switch (settlement.verb) {
    case 'retry':
      return delivery.retry(settlement.delayMs, settlement.failure);
    case 'postpone':
      return delivery.postpone(settlement.delayMs);
    case 'dead-letter':
      return delivery.deadLetter(settlement.failure);
  }
}
