/** Runs a limited number of jobs at a time. After one has failed, no other is started. */
export class ConcurrencyLimit {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Starts a job as soon as there is room. Rejects with the error of an earlier job, if one failed. */
  async begin(job: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.#throwIfFailed();
    const run = job()
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** How many run. */
  get running(): number {
    return this.#running.size;
  }

  /** Resolves when all have ended. Never rejects. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Resolves when all have succeeded. */
  async succeeded(): Promise<void> {
    await this.ended();
    this.#throwIfFailed();
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
