/** Adds up what arrives, so that a case that loses or doubles an item fails instead of being fast. */
export class Arrivals {
  #count = 0;
  #sum = 0;

  add(number) {
    this.#count++;
    this.#sum += number;
  }

  /** Throws unless 0 … count-1 have arrived, each once. */
  check(count) {
    const sum = (count * (count - 1)) / 2;
    if (this.#count === count && this.#sum === sum) return;
    throw new Error(`${this.#count} items with the sum ${this.#sum} arrived, not ${count} with ${sum}`);
  }

  get count() {
    return this.#count;
  }
}

/** A promise and its resolve function. */
export function gate() {
  /** @type {() => void} */
  let open;
  /** @type {Promise<void>} */
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** The shares of `count` among `parts` tasks: `[from, to)`. */
export function shares(count, parts) {
  return Array.from({ length: parts }, (_, part) => [
    Math.floor((count * part) / parts),
    Math.floor((count * (part + 1)) / parts),
  ]);
}
