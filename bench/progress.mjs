/** What goes on, on standard error: a line that renews itself on a terminal, a line a workload elsewhere. */
export class Progress {
  #total;
  #done = 0;
  #title = '';
  #live = process.stderr.isTTY === true;

  constructor(total) {
    this.#total = total;
  }

  workload(title) {
    this.#title = title;
    if (!this.#live) process.stderr.write(`[${this.#done}/${this.#total}] ${title}\n`);
  }

  run(subject) {
    this.#done++;
    if (!this.#live) return;
    const line = `[${this.#done}/${this.#total}] ${this.#title}: ${subject}`;
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  clear() {
    if (this.#live) process.stderr.write('\r\x1b[K');
  }
}
