import type { QueueSpec, WaitOptions } from '../../broker.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { request } from '../connection/request.js';
import type { DeclaredQueues } from './declared-queues.js';
import {
  deadLetterQueueDeclaration,
  dueQueueDeclaration,
  type QueueDeclaration,
  waitQueueDeclaration,
} from './queue-arguments.js';
import type { QueueDeclarer } from './queue-declarer.js';

/** The queues that a queue needs besides itself, for its retries and dead letters: declared when first needed. */
export class AuxiliaryQueues {
  readonly #link: ReconnectingConnection;
  readonly #declarer: QueueDeclarer;
  /** Those that are known to be there, or are being declared, by name. */
  readonly #declared = new Map<string, Promise<unknown>>();
  readonly #queues: DeclaredQueues;

  constructor(link: ReconnectingConnection, declarer: QueueDeclarer, queues: DeclaredQueues) {
    this.#link = link;
    this.#declarer = declarer;
    this.#queues = queues;
    // They may be gone with a broker that lost its disk.
    link.listen({ onDisconnected: () => this.#declared.clear() });
  }

  /** The queue turned out not to exist: it is declared again when it is next needed. */
  invalidate(queue: string): void {
    this.#declared.delete(queue);
  }

  /**
   * Where dead letters go: what the definition says; `<queue>.dead` for a queue without one. Undefined: nowhere.
   */
  async deadLetterQueue(
    queue: string,
    spec: QueueSpec | undefined,
    wait: WaitOptions,
  ): Promise<string | undefined> {
    if (spec?.deadLetter === false) return undefined;
    const { queue: name, capacity } = spec?.deadLetter ?? { queue: `${queue}.dead`, capacity: undefined };
    await this.#once(name, wait, async (connection) => {
      const declaration = deadLetterQueueDeclaration(name, capacity, connection.version);
      if (spec?.declare === 'match') await this.#declarer.assert(connection, declaration);
      else await this.#declarer.assertIfMissing(connection, declaration);
      this.#queues.setCapacity(name, capacity, spec?.declare !== 'match');
    });
    return name;
  }

  /** Where retried messages wait for `delayMs`, to come to `queue` afterwards; 0: where they go at once. */
  async waitQueue(queue: string, delayMs: number, wait: WaitOptions): Promise<string> {
    if (delayMs === 0) return queue;
    return this.#assert(
      waitQueueDeclaration(`${queue}.retry.${delayMs}`, delayMs, queue, this.#queues.isExclusive(queue)),
      wait,
    );
  }

  /** The same for a queue with a capacity: afterwards they are due, and wait for room in `queue`. */
  async waitQueueOfBounded(queue: string, delayMs: number, wait: WaitOptions): Promise<string> {
    const due = await this.dueQueue(queue, wait);
    if (delayMs === 0) return due;
    return this.#assert(
      waitQueueDeclaration(`${due}.${delayMs}`, delayMs, due, this.#queues.isExclusive(queue)),
      wait,
    );
  }

  /** Where retried messages of a queue with a capacity are when their wait is over. */
  dueQueue(queue: string, wait: WaitOptions): Promise<string> {
    return this.#assert(dueQueueDeclaration(`${queue}.due`, queue, this.#queues.isExclusive(queue)), wait);
  }

  async #assert(declaration: QueueDeclaration, wait: WaitOptions): Promise<string> {
    await this.#once(declaration.name, wait, (connection) => this.#declarer.assert(connection, declaration));
    return declaration.name;
  }

  async #once(
    name: string,
    wait: WaitOptions,
    make: (connection: Connection) => Promise<unknown>,
  ): Promise<void> {
    const what = `declaring '${name}'`;
    let done = this.#declared.get(name);
    if (done === undefined) {
      const begun = request(this.#link, { what, name }, {}, make);
      begun.catch(() => {
        if (this.#declared.get(name) === begun) this.#declared.delete(name);
      });
      this.#declared.set(name, begun);
      done = begun;
    }
    await this.#link.within(done, what, wait);
  }
}
