import type { WaitOptions } from '../../broker.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { request } from '../connection/request.js';

/** Makes each declaration once for as long as the connection lasts. A declaration that failed is made again when it is needed. */
export class DeclaredOnce {
  readonly #link: ReconnectingConnection;
  readonly #done = new Map<string, Promise<unknown>>();

  constructor(link: ReconnectingConnection) {
    this.#link = link;
    // A broker that has lost its disk has lost the queues, too.
    link.listen({ onDisconnected: () => this.#done.clear() });
  }

  /** `what` and `name` are for error messages. Callers that need the same share one request, each with a time limit of its own. */
  async ensure(
    key: string,
    subject: { readonly what: string; readonly name: string },
    wait: WaitOptions,
    declare: (connection: Connection) => Promise<unknown>,
  ): Promise<void> {
    let done = this.#done.get(key);
    if (done === undefined) {
      const declaring = request(this.#link, subject, {}, declare);
      declaring.catch(() => {
        if (this.#done.get(key) === declaring) this.#done.delete(key);
      });
      this.#done.set(key, declaring);
      done = declaring;
    }
    await this.#link.within(done, subject.what, wait);
  }

  /** Whether it was declared, or is being declared. */
  has(key: string): boolean {
    return this.#done.has(key);
  }

  forget(key: string): void {
    this.#done.delete(key);
  }

  forgetAll(): void {
    this.#done.clear();
  }
}
