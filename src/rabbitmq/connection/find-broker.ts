import type { BrokerEvent } from '../../broker.js';
import { backoffMs, pause, timeoutText } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import { mayPass } from './broker-errors.js';

/** How long to wait at most between two attempts to find the broker for the first time. */
const MAX_OPEN_DELAY_MS = 1_000;

/** No attempt starts with less time than this. */
const MIN_TRY_MS = 100;

const NO_ANSWER = 'no broker answered: ';

/**
 * Connects for the first time, and waits for a broker that is not up yet, until the time limit of the settings. Anything
 * that waiting can't change ends it at once.
 */
export async function findBroker(
  connect: (deadline: number) => Promise<void>,
  { connectTimeoutMs, reconnect }: RabbitMqSettings,
  closing: AbortSignal,
  observe: (event: BrokerEvent) => void,
): Promise<void> {
  const deadline = performance.now() + connectTimeoutMs;
  const bounds = { ...reconnect, maxDelayMs: Math.min(reconnect.maxDelayMs, MAX_OPEN_DELAY_MS) };
  let reported: string | undefined;
  let failure: QueueError | undefined;
  for (let tries = 1; ; tries++) {
    try {
      return await connect(deadline);
    } catch (error) {
      if (closing.aborted || !isQueueError(error, 'UNREACHABLE')) throw error;
      const leftMs = deadline - performance.now();
      const isTimeUp = leftMs < MIN_TRY_MS;
      // The time limit itself ended the last attempt: an earlier error explains the reason better.
      if (!isTimeUp || failure === undefined) {
        if (!mayPass(error)) throw error;
        failure = error;
      }
      if (isTimeUp || tries > reconnect.maxAttempts) throw notFound(failure, tries, connectTimeoutMs);
      if (reported !== error.message) observe({ type: 'waiting', reason: error, leftMs: Math.round(leftMs) });
      reported = error.message;
      await pause(Math.min(backoffMs(tries, bounds), leftMs / 2), closing, { keepAlive: true });
    }
  }
}

/** Tries each address in turn. */
export async function tryAddresses(
  addresses: readonly RabbitMqAddress[],
  connectTo: (address: RabbitMqAddress, timeoutMs: number) => Promise<void>,
  deadline: number,
  closing: AbortSignal,
): Promise<void> {
  const failures: QueueError[] = [];
  for (const [position, address] of addresses.entries()) {
    // A silent broker must not use up the time of the addresses after it.
    const share = (deadline - performance.now()) / (addresses.length - position);
    try {
      return await connectTo(address, Math.max(1, Math.round(share)));
    } catch (error) {
      if (!(error instanceof QueueError) || closing.aborted) throw error;
      failures.push(error);
    }
  }
  throw combined(failures);
}

/** The last error of several attempts, with how long they took. */
function notFound(error: QueueError, tries: number, timeoutMs: number): QueueError {
  if (tries === 1) return error;
  return new QueueError(
    'UNREACHABLE',
    `${timeoutText(timeoutMs, 'no broker found')}, in ${tries} attempts: ${error.message.replace(NO_ANSWER, '')}`,
    { cause: error.cause },
  );
}

/**
 * Combines the errors of all addresses. A refusal takes precedence: it is more informative than a failed connection.
 */
function combined(failures: readonly QueueError[]): QueueError {
  const refusal = failures.find((failure) => failure.code !== 'UNREACHABLE');
  if (refusal !== undefined) return refusal;
  return new QueueError(
    'UNREACHABLE',
    `${NO_ANSWER}${failures.map((failure) => failure.message).join('; ')}`,
    { cause: failures.length === 1 ? failures[0]?.cause : new AggregateError(failures) },
  );
}
