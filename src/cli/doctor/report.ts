import { count } from '../../common/reporting/count.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import type { Check } from './check.js';

const COLORS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

/** Prints one line per check, and determines the exit code. */
export class Report {
  readonly #output: Output;
  #warnings = 0;
  #failures = 0;
  #exitCode: ExitCode = EXIT.ok;

  constructor(output: Output) {
    this.#output = output;
  }

  async add({ name, status, text, advice, facts, exitCode }: Check): Promise<void> {
    if (status === 'warn') this.#warnings++;
    if (status === 'fail') this.#failures++;
    // The first failure is usually the cause of the others.
    if (this.#exitCode === EXIT.ok) this.#exitCode = exitCode;
    if (this.#output.json) {
      await this.#output.record({ check: name, status, text, advice, ...facts });
    } else if (!this.#output.quiet || status === 'fail') {
      const mark = { style: COLORS[status], text: status.padEnd(4) };
      const sentence = advice === undefined ? text : `${text}; ${advice}`;
      await this.#output.data([mark, `  ${name.padEnd(12)}  ${sentence}`]);
    }
  }

  end(): ExitCode {
    const found = [
      ...(this.#failures > 0 ? [count(this.#failures, 'failure')] : []),
      ...(this.#warnings > 0 ? [count(this.#warnings, 'warning')] : []),
    ];
    this.#output.note(found.length === 0 ? ' [*] No problems found' : ` [!] ${found.join(', ')}`);
    return this.#exitCode;
  }
}
