import { count } from '../../common/reporting/count.js';
import { onOneLine } from '../../common/reporting/terminal-text.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { widthOf, wrap } from '../layout.js';
import type { Output } from '../output.js';
import type { Check } from './check.js';

const COLORS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
/** On narrower terminals the sentences have no column of their own. */
const NARROW = 60;
/** The width of the mark and the space after it. */
const MARK_WIDTH = 6;

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
      const sentence = advice === undefined ? text : `${text}; ${advice}`;
      const [first = '', ...rest] = this.#rows(name.padEnd(12), sentence);
      await this.#output.data([{ style: COLORS[status], text: status.padEnd(4) }, `  ${first}`]);
      for (const row of rest) await this.#output.data(row);
    }
  }

  /** Breaks a sentence between words where it would not fit the terminal. */
  #rows(name: string, sentence: string): string[] {
    const { columns } = this.#output;
    const isNarrow = columns < NARROW;
    const lead = isNarrow ? '' : `${name}  `;
    const indent = MARK_WIDTH + widthOf(lead);
    const text = wrap(onOneLine(isNarrow ? `${name}  ${sentence}` : sentence), columns - indent);
    return text.split('\n').map((row, index) => (index === 0 ? lead : ' '.repeat(indent)) + row);
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
