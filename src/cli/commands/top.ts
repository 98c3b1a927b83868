/** `millrace top` */
import { type Command, Option } from 'commander';
import type { QueueInfo } from '../../broker.js';
import { count } from '../../common/reporting/count.js';
import { onAbort, pause } from '../../common/waiting.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { durationOption, oneOrMore, positiveDurationValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addOperatorOptions, type Operation, withOperator } from './operator/operator-command.js';
import { queueTable, sparkline } from './operator/queue-view.js';
import { addListOptions, inOrder, type ListFlags } from './queues.js';

interface TopFlags extends ListFlags {
  readonly interval: number;
  readonly count?: number;
}

/** How many frames a chart goes back. */
const HISTORY = 20;
/** The rest of a long list is left out. */
const ROWS_OFF_TERMINAL = 10_000;

const NOTES = `
On a terminal: one frame a second, the fullest queue first, with a chart of its ready messages over the last frames; Ctrl+C ends it. Elsewhere: a line of JSON per frame.`;

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
    screen.open();
    try {
      for (let frame = 1; !over.signal.aborted; frame++) {
        await screen.show(await lookAround(text, flags, operation), operation);
        if (frame === flags.count) break;
        await pause(flags.interval, over.signal, { keepAlive: true });
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
    const list = await operator.queues({ ...wait, match: text, internal: flags.all });
    return {
      at,
      ...list,
      queues: inOrder(list.queues, flags.sort).slice(0, flags.limit ?? ROWS_OFF_TERMINAL),
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

  open(): void {
    if (this.#output.live) this.#output.enterScreen();
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
    const state = error ?? `${count(total, 'queue')}${parked > 0 ? `, ${parked} delayed of all queues` : ''}`;
    const chart = {
      title: 'LAST FRAMES',
      cell: ({ name }: QueueInfo) => sparkline(this.#history.get(name) ?? []),
    };
    const shown = queues.slice(0, Math.max(1, rows - 4));
    this.#output.frame([
      `millrace top  ${at.toLocaleTimeString()}  every ${this.#flags.interval / 1000} s  ${broker.url}`,
      state,
      '',
      ...(shown.length === 0 ? [] : queueTable(shown, columns - 1, chart)),
    ]);
  }
}
