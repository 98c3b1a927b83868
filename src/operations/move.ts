import type { Backend, Broker, Delivery, Message, QueueInfo, WaitOptions } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { BROKER_HEADERS, DEATH_HEADERS } from '../common/message/broker-headers.js';
import { headersFit } from '../common/message/failure-headers.js';
import { QueueScan } from '../common/operator/queue-scan.js';
import {
  checkOptionNames,
  checkQueueName,
  checkWaitOptions,
  integerOption,
  invalidOption,
} from '../common/options.js';
import { ConcurrencyLimit } from '../common/waiting/concurrency-limit.js';
import { pause, throwIfAborted, withGrace } from '../common/waiting/waiting.js';
import { withoutHistory } from '../dead-letters/dead-letter.js';
import { keyOf, type Return, ReturnedMessages } from '../dead-letters/returned-messages.js';
import { isQueueError, QueueError } from '../errors.js';

/** Which messages to move. */
export interface MoveOptions extends WaitOptions {
  /** At most this many, from the first on. Default: all that are ready when it starts. */
  readonly limit?: number | undefined;
  /** Called with the id of each message that was moved, and awaited. If it throws or rejects, the move ends. */
  readonly onMoved?: ((id: string) => void) | undefined;
  /** Called with the id of each message that stays because it can't be sent, and the reason. Awaited; its errors end the move. */
  readonly onLeft?: ((id: string, error: QueueError) => void) | undefined;
}

/** The result of a move. */
export interface MoveResult {
  /** How many messages are in the other queue now. */
  readonly moved: number;
  /** How many stay because they can't be sent: `TOO_LARGE` or `INVALID_MESSAGE`. `onLeft` tells which. */
  readonly left: number;
  /** How many were ready when it began. */
  readonly total: number;
}

/** Errors that concern one message; any other would affect the next message as well. */
const OF_ONE_MESSAGE = ['INVALID_MESSAGE', 'TOO_LARGE'] as const;

/** How many messages may be on their way at once. */
const MAX_UNDER_WAY = 50;

/** After an abort, how long it waits for the confirms of what was sent: without them, it would be in both queues. */
const GRACE_MS = 1000;

/** How long the management API of RabbitMQ, which may be out of reach, is asked for the type of a queue. */
const TYPE_LIMIT_MS = 2000;

/** How long a broker may take to put back what a lost connection held. */
const BACK_LIMIT_MS = 2000;
const BACK_INTERVAL_MS = 50;

/** Headers about attempts in the old queue. */
const ATTEMPTS = /^x-millrace-(attempt|postpones)$/;

/**
 * Moves the ready messages of a queue to another one, in order, even if either is paused. Each is stored there before
 * it is removed here: a process that dies in between leaves it in both, and one that loses its connection may store it
 * there twice, under the same id. It begins there with its first attempt; ids, properties and headers stay, including the
 * history of a dead letter unless its sender's headers leave no room for that. After a lost connection, messages that are
 * alike in everything can't be told apart: more of them may move than `limit` and `moved` say. A message that was sent
 * without an id gets one; it may be there twice under two ids if the connection is lost after it was removed here, before
 * the broker knew.
 *
 * Waits for room in the other queue. Rejects: `QUEUE_MISSING`, `INVALID_OPTION`, `UNSUPPORTED` for a stream, `TIMEOUT` if
 * no further message can be moved in time, `ABORTED`, `CLOSED`, and what publishing rejects with; what was not moved stays.
 */
export async function moveMessages(
  broker: Broker,
  from: string,
  to: string,
  options: MoveOptions = {},
): Promise<MoveResult> {
  const backend = backendOf(broker);
  checkQueueName(from);
  checkQueueName(to);
  checkOptionNames('moveMessages', options, ['limit', 'onMoved', 'onLeft', 'signal', 'timeoutMs']);
  checkWaitOptions(options);
  const limit = integerOption('limit', options.limit, {
    min: 1,
    infinity: true,
    default: Number.POSITIVE_INFINITY,
  });
  if (from === to) throw invalidOption('to', 'a queue other than the one to move from', to);
  const wait = { signal: options.signal, timeoutMs: options.timeoutMs };
  await backend.inspect(to, wait);
  if ((await typeOf(backend, from, wait)) === 'stream')
    throw new QueueError('UNSUPPORTED', `'${from}' is a stream, whose messages can't be removed one by one`);
  const scan = await QueueScan.begin(backend, from, wait);
  const moving = new ConcurrencyLimit(MAX_UNDER_WAY);
  const returned = new ReturnedMessages(scan);
  let begun = 0;
  let moved = 0;
  let left = 0;
  let mayHaveMore = true;
  const grace = withGrace(wait.signal, GRACE_MS);
  const publishWait = { ...wait, signal: grace.signal };
  const move = async (delivery: Delivery, back: Return | undefined) => {
    throwIfAborted(wait.signal, `moving from '${from}'`);
    const message = backUnderItsId(delivery, back);
    const key = keyOf(delivery);
    const isCounted = back !== undefined && (back.was === 'handled' || back.isCounted);
    try {
      await backend.publish({ exchange: '', routingKey: to }, withoutAttempts(message), publishWait);
    } catch (error) {
      if (!isQueueError(error, ...OF_ONE_MESSAGE)) throw error;
      // It must not keep those behind it from being moved.
      left++;
      if (!isCounted) begun--;
      mayHaveMore = true;
      await (options.onLeft?.(message.id, error) as unknown);
      return;
    }
    if (!scan.holds(delivery)) {
      // Its connection was lost meanwhile: it is in the queue again, and is moved when it is redelivered.
      returned.lost(key, message, isCounted);
      if (!isCounted) begun--;
      mayHaveMore = true;
      return;
    }
    scan.remove(delivery);
    returned.handled(key);
    if (isCounted) return;
    moved++;
    // From JavaScript, it may be asynchronous.
    await (options.onMoved?.(message.id) as unknown);
  };
  try {
    while (mayHaveMore && begun < limit) {
      mayHaveMore = false;
      let hasTaken = false;
      for (; begun < limit; begun++) {
        const delivery = await scan.next(limit - begun);
        if (delivery === undefined) break;
        hasTaken = true;
        const back = returned.takeBack(delivery);
        if (back?.was === 'handled') scan.uncount();
        if (back?.was === 'handled' || back?.isCounted) begun--;
        await moving.begin(() => move(delivery, back));
      }
      await moving.succeeded();
      // There may have been no room for more: large messages that are being moved are held.
      if (hasTaken && scan.scanned < scan.total) mayHaveMore = true;
    }
  } finally {
    await moving.ended();
    grace.release();
    await scan.end();
  }
  // With a limit, a message like the last ones may be next, and must not be taken for one of them.
  if (begun < limit && scan.mayReturnRemoved) {
    await moveReturned(backend, { from, to, returned, wait });
  }
  return { moved, left, total: scan.total };
}

/**
 * Moves the messages again whose removal the broker never learned of: it puts them back ahead of all others when it
 * notices that their connection is lost. Those that come back later than that stay, as copies with the same ids.
 */
async function moveReturned(
  backend: Backend,
  { from, to, returned, wait }: { from: string; to: string; returned: ReturnedMessages; wait: WaitOptions },
): Promise<void> {
  for (let waitedMs = 0; waitedMs < BACK_LIMIT_MS; waitedMs += BACK_INTERVAL_MS) {
    if ((await backend.inspect(from, wait)).ready > 0) break;
    await pause(BACK_INTERVAL_MS, wait.signal, { keepAlive: true });
  }
  const scan = await QueueScan.begin(backend, from, wait);
  try {
    for (;;) {
      const delivery = await scan.next();
      if (delivery === undefined) return;
      const back = returned.takeBack(delivery);
      if (back === undefined) return;
      // It may be another message that is like a moved one: rather there twice than lost.
      const message = withoutAttempts(backUnderItsId(delivery, back));
      await backend.publish({ exchange: '', routingKey: to }, message, wait);
      scan.remove(delivery);
    }
  } finally {
    await scan.end();
  }
}

/** Undefined if the broker does not say it in time. */
async function typeOf(
  { operator }: Backend,
  queue: string,
  { signal, timeoutMs = TYPE_LIMIT_MS }: WaitOptions,
): Promise<QueueInfo['type']> {
  const limits = { signal, timeoutMs: Math.min(timeoutMs, TYPE_LIMIT_MS) };
  // An error that concerns the move, too, comes from its next step.
  return (await operator?.queue(queue, limits).catch(() => undefined))?.type;
}

/** A message that was stored under a generated id, and came back under another one: receivers can tell it by its first. */
function backUnderItsId({ message, hasGeneratedId }: Delivery, back: Return | undefined): Message {
  return hasGeneratedId === true && back?.was === 'lost' ? { ...message, id: back.id } : message;
}

function withoutAttempts(message: Message): Message {
  const headers = Object.fromEntries(
    Object.entries(message.headers).filter(
      ([name]) => !ATTEMPTS.test(name) && (DEATH_HEADERS.test(name) || !BROKER_HEADERS.test(name)),
    ),
  );
  // Local brokers store the history beside headers that leave no room for it; what is sent has to fit.
  return headersFit(headers) ? { ...message, headers } : withoutHistory(message);
}
