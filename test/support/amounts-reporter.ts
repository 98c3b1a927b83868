import type { Reporter, TestCase } from 'vitest/node';
import type { Counted } from './amounts.js';

/** Prints, after vitest's own summary, how much the tests went through that no number of tests shows. */
export default class AmountsReporter implements Reporter {
  readonly #sums = new Map<string, number>();

  onTestCaseResult(test: TestCase): void {
    const { amounts = {} } = test.meta();
    for (const [counted, amount] of Object.entries(amounts) as [Counted, number][]) {
      this.#sums.set(counted, (this.#sums.get(counted) ?? 0) + amount);
    }
  }

  onTestRunEnd(): void {
    if (this.#sums.size === 0) return;
    const sums = [...this.#sums].sort().map(([counted, sum]) => `${sum.toLocaleString('en')} ${counted}`);
    process.stdout.write(`\n  Went through  ${sums.join(', ')}\n`);
  }
}
