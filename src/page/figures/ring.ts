/** Figures over time in a fixed amount of memory: the last value of each of a fixed number of steps. */
export class Ring {
  readonly #stepMs: number;
  readonly #points: number;
  readonly #fields: number;
  readonly #values: Float32Array;
  /** The number of the newest step since the epoch. */
  #newest = -1;

  constructor(stepMs: number, points: number, fields: number) {
    this.#stepMs = stepMs;
    this.#points = points;
    this.#fields = fields;
    this.#values = new Float32Array(points * fields).fill(Number.NaN);
  }

  /** `more`: added to the last field, which sums up the values of a step. */
  add(at: number, values: readonly number[], more?: number): void {
    const step = Math.floor(at / this.#stepMs);
    this.#moveTo(step);
    const start = (step % this.#points) * this.#fields;
    const last = start + this.#fields - 1;
    const before = this.#values[last] as number;
    this.#values.set(values, start);
    if (more !== undefined) this.#values[last] = more + (Number.isNaN(before) ? 0 : before);
  }

  /** The sum of a field over all steps. */
  sum(index: number): number {
    let sum = 0;
    for (let at = index; at < this.#values.length; at += this.#fields) {
      const value = this.#values[at] as number;
      if (!Number.isNaN(value)) sum += value;
    }
    return sum;
  }

  /** The newest known value of a field less the oldest; 0 if none is known. */
  rise(index: number): number {
    let oldest: number | undefined;
    let newest = 0;
    for (let step = this.#newest - this.#points + 1; step <= this.#newest; step++) {
      const value = this.#values[(Math.max(0, step) % this.#points) * this.#fields + index] as number;
      if (Number.isNaN(value)) continue;
      oldest ??= value;
      newest = value;
    }
    return oldest === undefined ? 0 : newest - oldest;
  }

  /** Oldest first. */
  field(index: number): number[] {
    return this.#steps().map((step) => this.#values[(step % this.#points) * this.#fields + index] as number);
  }

  /** The starts of the steps, in seconds since the epoch. */
  times(): number[] {
    return this.#steps().map((step) => (step * this.#stepMs) / 1000);
  }

  /** Empties the steps in between; if the clock was set back, those that are yet to come. */
  #moveTo(step: number): void {
    const isBack = step < this.#newest;
    const [first, last] = isBack ? [step + 1, this.#newest] : [this.#newest + 1, step];
    for (let gap = Math.max(first, last - this.#points + 1); gap <= last; gap++) {
      const start = (gap % this.#points) * this.#fields;
      this.#values.fill(Number.NaN, start, start + this.#fields);
    }
    this.#newest = step;
  }

  #steps(): number[] {
    const first = Math.max(0, this.#newest - this.#points + 1);
    return Array.from({ length: this.#newest - first + 1 }, (_, index) => first + index);
  }
}
