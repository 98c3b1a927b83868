import { setMaxListeners } from 'node:events';
import { open } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import { isQueueError, type SendManyProgress } from '../../errors.js';
import { createProducer, type Producer } from '../../producer/producer.js';
import { type AddressFlags, chooseAddress, embeddedAddress } from '../address.js';
import { brokerEventLine } from '../event-line.js';
import { CommandError, EXIT, type ExitCode, exitCodeOf, exitCodeOfSignal } from '../exit-code.js';
import { isPiped, lines, wholeBody } from '../input.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import type { Output, OutputFlags } from '../output.js';
import { showBody } from '../show-text.js';
import { onStopSignal } from '../stop-signal.js';
import { sendingQueue } from '../text-queue.js';

export interface SendFlags extends AddressFlags, OutputFlags {
  readonly queue: string;
  readonly lines?: boolean;
  readonly file?: string;
  readonly header?: Readonly<Record<string, string>>;
  readonly id?: string;
  readonly priority?: number;
  readonly contentType?: string;
  readonly timeout: number;
  readonly connectTimeout: number;
}

/** What is said at the end: to people, and as JSON. */
interface Report {
  readonly text: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

export async function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  checkCombination(words, flags);
  const chosen = chooseAddress(flags, process.env, embeddedAddress(process.env));
  refuseMemory(chosen, 'send');
  const queue = sendingQueue(flags.queue, flags.contentType);
  const input = await chooseInput(words, flags);

  const broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.note(` [!] ${brokerEventLine(event).text}`);
    },
  });
  const interruption = new AbortController();
  // Every message that is under way listens to it.
  setMaxListeners(0, interruption.signal);
  addAbortSignal(interruption.signal, input);
  const signals = onStopSignal((signal) => {
    // A second one ends the process at once, as it would any other.
    signals.dispose();
    interruption.abort(new CommandError(exitCodeOfSignal(signal), `ended by ${signal}`));
  });
  try {
    const producer = createProducer(broker, queue, { timeoutMs: flags.timeout });
    const report = flags.lines
      ? await sendLines(producer, lines(input, broker.maxMessageBytes), flags, interruption.signal)
      : await sendOne(producer, await wholeBody(input, broker.maxMessageBytes), flags, interruption.signal);
    if (output.json) {
      await output.data(JSON.stringify({ ...report.facts, queue: flags.queue, broker: broker.address }));
    } else if (!output.quiet) {
      await output.data(` [x] ${report.text}`);
    }
    return EXIT.ok;
  } catch (error) {
    throw interruption.signal.aborted ? interrupted(error, interruption.signal.reason) : explained(error);
  } finally {
    signals.dispose();
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
  return { text: `Sent '${showBody(body)}'`, facts: { id } };
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

/** What can't be meant together. */
function checkCombination(words: readonly string[], flags: SendFlags): void {
  if (words.length > 0 && flags.file !== undefined) {
    throw new CommandError(EXIT.usage, 'the message is given twice, by words and by --file; give it once');
  }
  if (!flags.lines) return;
  if (words.length > 0 && !isStandardInput(words)) {
    throw new CommandError(EXIT.usage, '--lines reads the standard input or a --file, not words');
  }
  if (flags.id !== undefined || flags.header !== undefined || flags.priority !== undefined) {
    throw new CommandError(EXIT.usage, '--id, --header and --priority are for one message, not for --lines');
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
    "there is nothing to send: give the message as words, pipe it in, or write '-' to type it (millrace send --help)",
  );
}

function isStandardInput(words: readonly string[]): boolean {
  return words.length === 1 && words[0] === '-';
}

/** The error of many lines, in the words of someone who sent lines. */
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
  else if (isQueueError(error, 'UNCONFIRMED')) what = 'the message may have arrived';
  return new CommandError(reason.exitCode, `${reason.message}: ${what}`, { cause: error });
}

function howFar({ taken, stored, failed }: SendManyProgress): string {
  const unknown = failed.filter(({ error }) => error.code === 'UNCONFIRMED').length;
  return `${stored} of the ${taken} lines read are stored${unknown === 0 ? '' : `, ${unknown} may be`}`;
}

function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}
