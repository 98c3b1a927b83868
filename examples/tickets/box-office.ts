import { setTimeout as delay } from 'node:timers/promises';
import { defineQueue } from 'millrace';
import { z } from 'zod';

export const EVENTS = ['opera', 'circus', 'match', 'lecture'];
export const TICKETS_EACH = 10;

/** An order is for one event, or for several: all of them or none. */
export const Order = z.object({ events: z.array(z.enum(EVENTS)).min(1) });
export type Order = z.infer<typeof Order>;

export const ordersIn = (prefix: string) => defineQueue(`${prefix}.orders`, Order, { deadLetter: false });

/** Simulates a database: each access takes time, and others may come in between. */
export class BoxOffice {
  readonly sold = new Map(EVENTS.map((event) => [event, 0]));
  mostAtOnce = 0;
  readonly #left = new Map(EVENTS.map((event) => [event, TICKETS_EACH]));
  #atOnce = 0;

  async sell({ events }: Order): Promise<boolean> {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
    const seen = events.map((event) => this.#left.get(event) ?? 0);
    await delay(2); // the card is charged meanwhile
    const isAvailable = seen.every((count) => count > 0);
    for (const [index, event] of events.entries()) {
      if (!isAvailable) break;
      this.#left.set(event, (seen[index] ?? 0) - 1);
      this.sold.set(event, (this.sold.get(event) ?? 0) + 1);
    }
    this.#atOnce--;
    return isAvailable;
  }
}
