import type { WaitOptions } from '../broker.js';
import { isQueueError, QueueError } from '../errors.js';
import { type DeadLetter, withoutHistory } from './dead-letter.js';
import type { Source } from './source.js';

/** A letter, and the queue that it is to go to. */
export interface Addressed {
  readonly letter: DeadLetter;
  readonly to: string;
}

/** Errors that are about one message or its queue; any other would hit the next one as well. */
const OF_ONE_LETTER = ['UNROUTABLE', 'REFUSED', 'INVALID_MESSAGE', 'TOO_LARGE'] as const;

/** Sends dead letters to queues as the messages that they were. */
export class Outgoing {
  readonly #source: Source;
  readonly #wait: WaitOptions;

  constructor(source: Source, wait: WaitOptions) {
    this.#source = source;
    this.#wait = wait;
  }

  /** Why the letter does not fit the schema of its queue; undefined where it does, or where the schema is not known. */
  async check({ letter, to }: Addressed): Promise<QueueError | undefined> {
    const { decode, name } = this.#source;
    if (decode === undefined || to !== name) return undefined;
    const decoded = await decode(letter.message);
    if (decoded.ok) return undefined;
    const { code, error } = decoded.failure;
    return new QueueError('INVALID_MESSAGE', `letter ${letter.id} is ${code} for '${to}': ${error}`);
  }

  /** Resolves when it is stored; to the error where it can't be. Rejects with what would hit every letter. */
  async send(addressed: Addressed): Promise<QueueError | undefined> {
    const { letter, to } = addressed;
    try {
      this.#refuseRound(addressed);
      const message = withoutHistory(letter.message);
      await this.#source.broker.publish({ exchange: '', routingKey: to }, message, this.#wait);
      return undefined;
    } catch (error) {
      if (isQueueError(error, ...OF_ONE_LETTER)) return error;
      throw error;
    }
  }

  /** As far as it can be told without sending it. */
  async tryOut(addressed: Addressed): Promise<QueueError | undefined> {
    try {
      this.#refuseRound(addressed);
      await this.#source.broker.inspect(addressed.to, this.#wait);
      return undefined;
    } catch (error) {
      if (isQueueError(error, 'QUEUE_MISSING', ...OF_ONE_LETTER)) return error;
      throw error;
    }
  }

  #refuseRound({ letter, to }: Addressed): void {
    if (to !== this.#source.deadLetterQueue) return;
    throw new QueueError(
      'UNROUTABLE',
      `letter ${letter.id} was a message of '${to}', the dead-letter queue itself: say where to send it`,
    );
  }
}
