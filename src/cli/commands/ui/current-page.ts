import { setInterval } from 'node:timers/promises';
import type { Broker } from '../../../broker.js';
import { targetOf } from '../../../connect.js';
import { storeIdentity } from '../../../diagnose.js';
import type { Page, PageRequest, PageResponse } from '../../../page/page-types.js';

/** How often it checks for a folder that was moved away. */
const CHECK_EVERY_MS = 500;

export interface PageSource {
  /** `token`: that of the page before. */
  readonly createPage: (broker: Broker, token?: string) => Page;
  /** Opens the same folder again. */
  readonly reopen: (broker: Broker) => Promise<Broker>;
  /** Called when the folder was moved away, and its broker has ended. */
  readonly onGone: (folder: string) => void;
}

/**
 * The page of a broker. One whose folder is moved away ends for good; if the same folder returns, another broker and
 * another page with the same token take their places. A copy, or a backup that is being restored, may be incomplete, and
 * is left alone.
 */
export class CurrentPage {
  readonly #source: PageSource;
  #broker: Broker;
  #page: Page;
  readonly #closed = new AbortController();
  readonly #keeping: Promise<void>;

  constructor(broker: Broker, source: PageSource) {
    this.#source = source;
    this.#broker = broker;
    this.#page = source.createPage(broker);
    this.#keeping = this.#keep();
  }

  get token(): string | undefined {
    return this.#page.token;
  }

  readonly handle = (request: PageRequest, response: PageResponse): void => this.#page(request, response);

  /** Closes the broker, too. Always resolves. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#keeping;
    await this.#page.close();
    await this.#broker.close();
  }

  /** Resolves after `close`. Never rejects. */
  async #keep(): Promise<void> {
    const { url } = this.#broker;
    const target = url.startsWith('local:') ? targetOf(url) : undefined;
    if (target?.kind !== 'folder') return;
    const identity = await storeIdentity(target.path);
    if (identity === undefined) return;
    const { signal } = this.#closed;
    let isGone = false;
    try {
      for await (const _ of setInterval(CHECK_EVERY_MS, undefined, { signal, ref: false })) {
        if (this.#broker.state !== 'closed') continue;
        const isThere = (await storeIdentity(target.path)) === identity;
        // One that was always there is damaged.
        if (isThere && isGone) isGone = !(await this.#replace());
        else if (!isThere && !isGone) {
          isGone = true;
          this.#source.onGone(target.path);
        }
      }
    } catch {
      // The page was closed.
    }
  }

  /** Resolves to whether there is a new page. */
  async #replace(): Promise<boolean> {
    let broker: Broker;
    try {
      broker = await this.#source.reopen(this.#broker);
    } catch {
      // The folder may be gone once more.
      return false;
    }
    const [oldBroker, oldPage] = [this.#broker, this.#page];
    this.#page = this.#source.createPage(broker, oldPage.token);
    this.#broker = broker;
    // Its open pages connect again, and find the new one.
    await oldPage.close();
    await oldBroker.close();
    return true;
  }
}
