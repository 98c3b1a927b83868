import { inspect } from 'node:util';
import type { Producer } from '../../src/producer/producer.js';
import type { Books } from '../support/books.js';

/** What the messages hold. */
export interface Grain {
  readonly producer: number;
  readonly number: number;
}

export interface SendersSettings {
  readonly window: number;
  readonly maxAhead: number;
  /** No send is begun any more once this is true. */
  readonly isEnough: () => boolean;
  /** Ends it at once, but for the sends that are under way. */
  readonly signal: AbortSignal;
  /** For what the errors show. */
  readonly output: string[];
}

/** One producer's part: numbered messages, `window` at a time, no further ahead of the handlers than `maxAhead`. */
export async function keepSending(
  name: number,
  { send }: Producer<Grain>,
  books: Books,
  { window, maxAhead, isEnough, signal, output }: SendersSettings,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (true) {
      await books.until(() => books.ahead < maxAhead || isEnough(), signal).catch(() => {});
      if (signal.aborted || isEnough()) return;
      const number = next++;
      const id = `${name}/${number}`;
      books.beginSend(id);
      await send({ producer: name, number }, { id }).then(
        () => books.endSend(id),
        (error) => {
          output.push(inspect(error, { depth: null }));
          books.endSend(id, error);
        },
      );
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
}
