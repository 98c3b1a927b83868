/** `millrace send` */
import { setMaxListeners } from 'node:events';
import { open } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import type { Command } from 'commander';
import { isQueueError, type SendManyProgress } from '../../errors.js';
import { createProducer, type Producer } from '../../producer/producer.js';
import { chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../common-options.js';
import { brokerEventLine } from '../event-line.js';
import { CommandError, EXIT, type ExitCode, exitCodeOf } from '../exit-code.js';
import { isPiped, lines, wholeBody } from '../input.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import { durationOption, headerValue, integerValue } from '../option-values.js';
import { type Output, showBody } from '../output.js';
import { abortOnStopSignal } from '../stop-signal.js';
import { sendingQueue } from '../text-queue.js';

interface SendFlags extends CommonFlags {
  readonly queue: string;
  readonly lines?: boolean;
  readonly file?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly id?: string;
  readonly priority?: number;
  readonly contentType?: string;
  readonly timeout: number;
}

const EXAMPLES = `
Examples:
  $ millrace send 'Hello World!'
  $ millrace send -q orders '{"id":"A-1","total":12.5}'
  $ millrace send -q images -f cat.png -H tenant:blue -u amqp://localhost
  $ tail -f access.log | millrace send -l -q hits`;

export function addSendCommand(program: Command, execute: Execute): void {
  const command = program
    .command('send')
    .description('Sends a message, or with --lines one per line of input, and exits when they are stored.')
    .argument('[message...]', "the message; '-', or no words and piped input, reads standard input")
    .option('-q, --queue <name>', 'the queue; declared as in the RabbitMQ tutorials if missing', 'hello')
    .option('-l, --lines', 'each line (ended by LF or CR LF) is a message, including empty ones')
    .option('-f, --file <path>', 'read the file instead of standard input')
    .option('-H, --header <name:value>', 'a header of the message; can be repeated', headerValue)
    .option('--id <id>', 'the id of the message (default: a new UUID)')
    .option('--priority <n>', '0 to 31, higher first', integerValue(0, 31))
    .option(
      '--content-type <type>',
      'the content type (default: application/json for a JSON object or array, text/plain for other text, else application/octet-stream)',
    )
    .addOption(durationOption('--timeout <duration>', 'how long a message may wait to be stored', '30s'))
    .action((words: string[], flags: SendFlags) => execute(flags, (output) => send(words, flags, output)));
  addHelp(command, EXAMPLES, ADDRESS_HELP);
}

const MAX_ECHO_BYTES = 200;

/** The summary at the end, as text and as JSON. */
interface Report {
  readonly text: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

async function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  checkCombination(words, flags);
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'send');
  const queue = sendingQueue(flags.queue, flags.contentType);
  const input = await chooseInput(words, flags);

  const broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.event(brokerEventLine(event));
    },
  });
  const interruption = abortOnStopSignal();
  // Every message in flight adds a listener.
  setMaxListeners(0, interruption.signal);
  addAbortSignal(interruption.signal, input);
  try {
    const producer = createProducer(broker, queue, { timeoutMs: flags.timeout });
    const report = flags.lines
      ? await sendLines(producer, lines(input, broker.maxMessageBytes), flags, interruption.signal)
      : await sendOne(producer, await wholeBody(input, broker.maxMessageBytes), flags, interruption.signal);
    if (output.json) {
      await output.record({ ...report.facts, queue: flags.queue, broker: broker.url });
    } else if (!output.quiet) {
      await output.block(` [x] ${report.text}`);
    }
    return EXIT.ok;
  } catch (error) {
    throw interruption.signal.aborted ? interrupted(error, interruption.signal.reason) : explained(error);
  } finally {
    interruption.dispose();
    await broker.close();
  }
}

async function sendOne(
  producer: Producer<Uint8Array>,
  body: Uint8Array,
  { id: wantedId, header, priority }: SendFlags,
  signal: AbortSignal,
): Promise<Report> {
  const { id } = await producer.send(body, { id: wantedId, headers: header, priority, signal });
  return { text: `Sent ${quoted(body)}`, facts: { id } };
}

async function sendLines(
  producer: Producer<Uint8Array>,
  bodies: AsyncIterable<Uint8Array>,
  { queue }: SendFlags,
  signal: AbortSignal,
): Promise<Report> {
  const { stored } = await producer.sendMany(bodies, { signal });
  return {
    text: `Sent ${stored} ${stored === 1 ? 'message' : 'messages'} to '${queue}'`,
    facts: { sent: stored },
  };
}

/** Quotes the body, shortened if it is long, to show the user what was sent. */
function quoted(body: Uint8Array): string {
  if (body.byteLength <= MAX_ECHO_BYTES) return `'${showBody(body)}'`;
  let end = MAX_ECHO_BYTES;
  // Don't cut a character in half.
  while (end > 0 && ((body[end] ?? 0) & 0xc0) === 0x80) end--;
  return `'${showBody(body.subarray(0, end))}…' (${body.byteLength} bytes)`;
}

/** Refuses flags that contradict one another. */
function checkCombination(words: readonly string[], flags: SendFlags): void {
  if (words.length > 0 && flags.file !== undefined) {
    throw new CommandError(EXIT.usage, 'the message is given both as words and by --file; use one of them');
  }
  if (!flags.lines) return;
  if (words.length > 0 && !isStandardInput(words)) {
    throw new CommandError(EXIT.usage, '--lines reads standard input or --file, so leave out the words');
  }
  if (flags.id !== undefined || flags.header !== undefined || flags.priority !== undefined) {
    throw new CommandError(
      EXIT.usage,
      '--id, --header and --priority apply to a single message, not to --lines',
    );
  }
}

async function chooseInput(words: readonly string[], { file }: SendFlags): Promise<Readable> {
  if (file !== undefined && file !== '-') {
    try {
      return (await open(file)).createReadStream();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CommandError(EXIT.usage, `--file: ${reason}`, { cause: error });
    }
  }
  if (file === '-' || isStandardInput(words)) return process.stdin;
  if (words.length > 0) return Readable.from([Buffer.from(words.join(' '))]);
  if (isPiped(0)) return process.stdin;
  throw new CommandError(
    EXIT.usage,
    "nothing to send: pass the message as words, pipe it in, or run 'millrace send -' and type it",
  );
}

function isStandardInput(words: readonly string[]): boolean {
  return words.length === 1 && words[0] === '-';
}

/** Words the error of `sendMany` in terms of lines. */
function explained(error: unknown): unknown {
  if (!isQueueError(error) || error.progress === undefined) return error;
  const [first] = error.progress.failed;
  const why =
    first === undefined ? rootCause(error).message : `line ${first.position + 1}: ${first.error.message}`;
  return new CommandError(exitCodeOf(error), `${howFar(error.progress)}; ${why}`, { cause: error });
}

function interrupted(error: unknown, reason: CommandError): CommandError {
  let what = 'nothing was sent';
  if (isQueueError(error) && error.progress !== undefined) what = howFar(error.progress);
  else if (isQueueError(error, 'UNCONFIRMED')) what = 'the message may have been stored';
  return new CommandError(reason.exitCode, `${reason.message}: ${what}`, { cause: error });
}

function howFar({ taken, stored, failed }: SendManyProgress): string {
  const unknown = failed.filter(({ error }) => error.code === 'UNCONFIRMED').length;
  return `${stored} of the ${taken} lines read are stored${unknown === 0 ? '' : `, ${unknown} more may be`}`;
}

function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}
