/** Shows the progress of transfers: on a terminal by a bar for each, elsewhere by a line at the end of each. */
import { MultiBar } from 'cli-progress';

const MIB = 1024 * 1024;

export type OnProgress = (bytes: number, size: number) => void;

export class Progress {
  readonly #bars = process.stdout.isTTY
    ? new MultiBar({ format: '{label} {bar} {percentage} % {rate} MiB/s', barsize: 30, hideCursor: true })
    : undefined;
  readonly #width: number;

  constructor(labels: readonly string[]) {
    this.#width = Math.max(...labels.map(({ length }) => length));
  }

  /** Returns the function that reports the progress of one transfer. */
  of(label: string): OnProgress {
    const name = label.padEnd(this.#width);
    const bar = this.#bars?.create(1, 0, { label: name, rate: '0.0' });
    const begin = performance.now();
    let first: number | undefined;
    return (bytes, size) => {
      first ??= bytes;
      const rate = ((bytes - first) / MIB / Math.max((performance.now() - begin) / 1000, 0.001)).toFixed(1);
      bar?.setTotal(Math.max(size, 1));
      bar?.update(size === 0 ? 1 : bytes, { rate });
      if (bar === undefined && bytes >= size) console.log(`${name} 100 % ${rate} MiB/s`);
    };
  }

  stop(): void {
    this.#bars?.stop();
  }
}
