/** `millrace top` */
import { type Command, Option } from 'commander';
import type { QueueInfo } from '../../broker.js';
import { count } from '../../common/reporting/count.js';
import { onAbort, pause } from '../../common/waiting/waiting.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { durationOption, oneOrMore, positiveDurationValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addOperatorOptions, type Operation, withOperator } from './operator/operator-command.js';
import { queueTable, sparkline } from './operator/queue-view.js';
import { addListOptions, inOrder, type ListFlags, MAX_QUEUES } from './queues.js';

interface TopFlags extends ListFlags {
  readonly interval: number;
  readonly count?: number;
}

/** How many frames a chart goes back. */
const HISTORY = 20;
/** On a narrow terminal: it takes no more room than its title. */
const SHORT_HISTORY = 11;
const WIDE_COLUMNS = 110;
/** The rest of a long list is left out. */
const MAX_ROWS = 10_000;
/** A broker with very many queues takes longer to list them: it is left alone for twice as long. */
const REST = 2;

const NOTES = `
On a terminal: one frame a second, or fewer if the broker takes long to list its queues; the fullest queue first, with a chart of its ready messages over the last frames; Ctrl+C ends it. Elsewhere: a line of JSON per frame.`;

export function addTopCommand(program: Command, execute: Execute): void {
  const command = program
    .command('top')
    .description('Watches the queues.')
    .argument('[text]', 'only queues with this text in their name');
  addListOptions(command)
    .addOption(
      durationOption('--interval <duration>', 'the time between frames', '1s', positiveDurationValue),
    )
    .addOption(new Option('--count <n>', 'end after so many frames').argParser(oneOrMore))
    .action((text: string | undefined, flags: TopFlags) =>
      execute(flags, (output) => top(text, { ...flags, sort: sortOf(flags, command) }, output)),
    );
  addHelp(command, NOTES);
  addOperatorOptions(command);
}

/** The fullest queues come first by default, not the first names. */
function sortOf({ sort }: TopFlags, command: Command): TopFlags['sort'] {
  return command.getOptionValueSource('sort') === 'default' ? 'ready' : sort;
}

async function top(text: string | undefined, flags: TopFlags, output: Output): Promise<ExitCode> {
  const whenEmpty = (where: string) => {
    output.note(` [*] ${where} has no queues`);
    return EXIT.empty;
  };
  return withOperator('top', flags, output, whenEmpty, async (operation) => {
    const screen = new Screen(output, flags);
    const over = new AbortController();
    output.closed.then(() => over.abort());
    onAbort(operation.signal, () => over.abort());
    screen.open(operation);
    try {
      for (let frame = 1; !over.signal.aborted; frame++) {
        const begun = performance.now();
        const seen = await lookAround(text, flags, operation);
        const restMs = Math.max(flags.interval, (performance.now() - begun) * REST);
        await screen.show(seen, operation);
        if (frame === flags.count) break;
        await pause(restMs, over.signal, { keepAlive: true });
      }
    } finally {
      screen.close();
    }
    // Ctrl+C is how it is ended.
    return EXIT.ok;
  });
}

interface Frame {
  readonly at: Date;
  readonly queues: readonly QueueInfo[];
  readonly total: number;
  readonly parked: number;
  /** Why there are no figures now. */
  readonly error?: string;
}

/** Continues when the broker is unreachable for a while. */
async function lookAround(
  text: string | undefined,
  flags: TopFlags,
  { operator, wait }: Operation,
): Promise<Frame> {
  const at = new Date();
  try {
    const list = await operator.queues({ ...wait, match: text, internal: flags.all, limit: MAX_QUEUES });
    return {
      at,
      ...list,
      queues: inOrder(list.queues, flags.sort).slice(0, flags.limit ?? MAX_ROWS),
    };
  } catch (error) {
    if (!(error instanceof Error) || wait.signal.aborted) throw error;
    const code = 'code' in error ? error.code : undefined;
    // These stay as they are.
    if (['UNSUPPORTED', 'ACCESS_REFUSED', 'CLOSED', 'INVALID_OPTION', 'STORAGE_ERROR'].includes(String(code)))
      throw error;
    return { at, queues: [], total: 0, parked: 0, error: error.message };
  }
}

class Screen {
  readonly #output: Output;
  readonly #flags: TopFlags;
  /** Of each queue that was in the last frame, how many messages were ready. */
  #history = new Map<string, readonly number[]>();

  constructor(output: Output, flags: TopFlags) {
    this.#output = output;
    this.#flags = flags;
  }

  open({ broker }: Operation): void {
    if (!this.#output.live) return;
    this.#output.enterScreen();
    // The first list of a slow broker takes a while.
    this.#output.frame([`millrace top  ${broker.url}`, 'listing the queues']);
  }

  close(): void {
    if (this.#output.live) this.#output.leaveScreen();
  }

  async show(frame: Frame, { broker }: Operation): Promise<void> {
    const { at, queues, total, parked, error } = frame;
    if (!this.#output.live) {
      await this.#output.record({ time: at.toISOString(), broker: broker.url, total, parked, error, queues });
      return;
    }
    const history = new Map<string, readonly number[]>();
    for (const { name, ready } of queues) {
      history.set(name, [...(this.#history.get(name) ?? []), ready].slice(-HISTORY));
    }
    if (error === undefined) this.#history = history;
    const { columns, rows } = this.#output;
    const shown = queues.slice(0, Math.max(1, rows - 4));
    const cut = shown.length < total ? `, ${shown.length} of them below` : '';
    const all = parked > 0 ? `, ${parked} delayed of all queues` : '';
    const state = error ?? `${count(total, 'queue')}${cut}${all}`;
    const chart = {
      title: 'LAST FRAMES',
      cell: ({ name }: QueueInfo) =>
        sparkline((this.#history.get(name) ?? []).slice(columns < WIDE_COLUMNS ? -SHORT_HISTORY : 0)),
    };
    this.#output.frame([
      `millrace top  ${at.toLocaleTimeString()}  every ${this.#flags.interval / 1000} s  ${broker.url}`,
      state,
      '',
      ...(shown.length === 0 ? [] : queueTable(shown, columns - 1, chart)),
    ]);
  }
}
