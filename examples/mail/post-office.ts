/** A mail server that knows some mailboxes, asks unknown senders to try again later, and is busy at first. */

export interface Mail {
  readonly to: string;
  readonly subject: string;
}

/** An answer of SMTP: 2xx done, 4xx try again, 5xx never. */
export interface Answer {
  readonly code: number;
  readonly text: string;
}

export class PostOffice {
  readonly #mailboxes: ReadonlySet<string>;
  readonly #seen = new Set<string>();
  /** What has arrived, in its order. */
  readonly delivered: string[] = [];

  constructor(mailboxes: readonly string[]) {
    this.#mailboxes = new Set(mailboxes);
  }

  async take({ to }: Mail): Promise<Answer> {
    if (!this.#mailboxes.has(to)) return { code: 550, text: 'no such mailbox' };
    // Greylisting: programs that only send junk don't come back.
    if (to.endsWith('.example') && !this.#seen.has(to)) {
      this.#seen.add(to);
      return { code: 451, text: 'come again in a while' };
    }
    this.delivered.push(to);
    return { code: 250, text: 'queued' };
  }
}
