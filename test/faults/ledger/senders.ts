import { inspect } from 'node:util';
import type { Producer } from '../../../src/producer/producer.js';
import type { Ledger } from '../../support/ledger.js';

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
  ledger: Ledger,
  { window, maxAhead, isEnough, signal, output }: SendersSettings,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (true) {
      await ledger.until(() => ledger.ahead < maxAhead || isEnough(), signal).catch(() => {});
      if (signal.aborted || isEnough()) return;
      const number = next++;
      const id = `${name}/${number}`;
      ledger.beginSend(id);
      await send({ producer: name, number }, { id }).then(
        () => ledger.endSend(id),
        (error) => {
          output.push(inspect(error, { depth: null }));
          ledger.endSend(id, error);
        },
      );
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
}
