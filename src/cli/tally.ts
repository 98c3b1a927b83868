import type { ConsumerEvent } from '../consumer/events.js';
import { EXIT, type ExitCode } from './exit-code.js';

/** What became of the messages of a worker that was asked for a number of them, or for all that there are. */
export class Tally {
  handled = 0;
  #deadLettered = 0;
  /** Those that failed and were to come again, but did not: at most what waits for its retry at the broker. */
  readonly #unresolved = new Set<string>();

  add(event: ConsumerEvent): void {
    if (event.type === 'handled') {
      this.handled++;
      this.#unresolved.delete(event.id);
    } else if (event.type === 'dead-lettered') {
      this.#deadLettered++;
      this.#unresolved.delete(event.id);
    } else if (event.type === 'retried' || event.type === 'lost' || event.type === 'settle-failed') {
      this.#unresolved.add(event.id);
    }
  }

  get exitCode(): ExitCode {
    const failed = this.#deadLettered + this.#unresolved.size;
    if (failed === 0) return this.handled === 0 ? EXIT.empty : EXIT.ok;
    return this.handled === 0 ? EXIT.failed : EXIT.partial;
  }
}
