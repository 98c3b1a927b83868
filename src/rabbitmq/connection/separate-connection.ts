import type { Connection } from './connection.js';

/**
 * A connection apart from the others, for requests whose refusal ends the connection they are made on. Requests take
 * turns on it, since such a refusal would end the others, too. It is open only while there are any: however many come at
 * once, the broker has one connection more.
 */
export class SeparateConnection {
  readonly #open: () => Promise<Connection>;
  #connection: Connection | undefined;
  /** Settles when the last request so far is over. Never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  #requests = 0;

  constructor(open: () => Promise<Connection>) {
    this.#open = open;
  }

  /** Makes a request when those before it are over; rejects if the connection `main` has ended by then. */
  use<T>(main: Connection, ask: (separate: Connection) => Promise<T>): Promise<T> {
    this.#requests++;
    const outcome = this.#last.then(() => this.#use(main, ask));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  async #use<T>(main: Connection, ask: (separate: Connection) => Promise<T>): Promise<T> {
    try {
      if (!main.isOpen) throw new Error('the connection was closed', { cause: main.failure });
      if (!this.#connection?.isOpen) this.#connection = await this.#open();
      return await ask(this.#connection);
    } catch (error) {
      // It may be about to end.
      this.#close();
      throw error;
    } finally {
      this.#requests--;
      if (this.#requests === 0) this.#close();
    }
  }

  #close(): void {
    void this.#connection?.close();
    this.#connection = undefined;
  }
}
