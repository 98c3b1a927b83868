import type { Broker, Message, WaitOptions } from '../broker.js';
import { BROKER_HEADERS } from '../common/broker-headers.js';
import { ConcurrencyLimit } from '../common/concurrency-limit.js';
import {
  backendOf,
  checkOptionNames,
  checkQueueName,
  checkWaitOptions,
  integerOption,
  invalidOption,
} from '../common/options.js';
import { QueueScan } from '../common/queue-scan.js';

/** Which messages to move. */
export interface MoveOptions extends WaitOptions {
  /** At most this many, from the first on. Default: all that are ready when it starts. */
  readonly limit?: number | undefined;
  /** Called with the id of each message that was moved. If it throws, the move ends. */
  readonly onMoved?: ((id: string) => void) | undefined;
}

/** The result of a move. */
export interface MoveResult {
  /** How many messages are in the other queue now. */
  readonly moved: number;
  /** How many were ready when it began. */
  readonly total: number;
}

/** How many messages may be on their way at once. */
const MAX_UNDER_WAY = 50;

/** Headers about attempts in the old queue. */
const ATTEMPTS = /^x-millrace-(attempt|postpones)$/;

/**
 * Moves the ready messages of a queue to another one, in order, even if either is paused. Each is stored there before
 * it is removed here: a process that dies in between leaves it in both, under the same id. It begins there with its
 * first attempt; ids, headers, the history of a dead letter included, and properties stay.
 *
 * Waits for room in the other queue. Rejects: `QUEUE_MISSING`, `INVALID_OPTION`, `TIMEOUT` if no further message can be
 * moved in time, `ABORTED`, `CLOSED`, and what publishing rejects with; what was not moved stays.
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
  checkOptionNames('moveMessages', options, ['limit', 'onMoved', 'signal', 'timeoutMs']);
  checkWaitOptions(options);
  const limit = integerOption('limit', options.limit, {
    min: 1,
    infinity: true,
    default: Number.POSITIVE_INFINITY,
  });
  if (from === to) throw invalidOption('to', 'another queue than the one to move from', to);
  const wait = { signal: options.signal, timeoutMs: options.timeoutMs };
  await backend.inspect(to, wait);
  const scan = await QueueScan.begin(backend, from, wait);
  const moving = new ConcurrencyLimit(MAX_UNDER_WAY);
  let moved = 0;
  try {
    for (let begun = 0; begun < limit; begun++) {
      const delivery = await scan.next(limit - begun);
      if (delivery === undefined) break;
      await moving.begin(async () => {
        const { message } = delivery;
        await backend.publish({ exchange: '', routingKey: to }, withoutAttempts(message), wait);
        scan.remove(delivery);
        moved++;
        options.onMoved?.(message.id);
      });
    }
    await moving.succeeded();
  } finally {
    await moving.ended();
    await scan.end();
  }
  return { moved, total: scan.total };
}

function withoutAttempts(message: Message): Message {
  const kept = Object.entries(message.headers).filter(
    ([name]) => !ATTEMPTS.test(name) && !BROKER_HEADERS.test(name),
  );
  return { ...message, headers: Object.fromEntries(kept) };
}
