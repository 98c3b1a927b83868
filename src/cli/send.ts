import { setMaxListeners } from 'node:events';
import { open } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import type { Broker } from '../broker.js';
import { isQueueError } from '../errors.js';
import { createProducer, type Producer } from '../producer/producer.js';
import { type AddressFlags, chooseAddress } from './address.js';
import { brokerEventLine } from './event-line.js';
import { CommandError, EXIT, type ExitCode, exitCodeOf, exitCodeOfSignal } from './exit-code.js';
import { isPiped, lines, wholeBody } from './input.js';
import { openBroker, refuseMemory } from './open-broker.js';
import type { Output, OutputFlags } from './output.js';
import { showBody } from './show-text.js';
import { onStopSignal } from './stop-signal.js';
import { sendingQueue } from './text-queue.js';

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

/** What to send: the words of the command line, or what a stream gives. */
type Source = { readonly words: string } | { readonly stream: Readable };

export async function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  checkCombination(words, flags);
  const chosen = chooseAddress(flags, process.env, 'amqp://localhost');
  refuseMemory(chosen, 'send');
  const queue = sendingQueue(flags.queue, flags.contentType);
  const source = await chooseSource(words, flags);

  const broker = await openBroker(chosen, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.note(` [!] ${brokerEventLine(event).text}`);
    },
  });
  const interruption = new AbortController();
  // Every message that is under way listens to it.
  setMaxListeners(0, interruption.signal);
  const signals = onStopSignal((signal) => {
    // A second one ends the process at once, as it would any other.
    signals.dispose();
    interruption.abort(new CommandError(exitCodeOfSignal(signal), `ended by ${signal}`));
  });
  if ('stream' in source) addAbortSignal(interruption.signal, source.stream);
  try {
    const producer = createProducer(broker, queue, { timeoutMs: flags.timeout });
    await (flags.lines ? sendLines : sendOne)(producer, broker, source, flags, output, interruption.signal);
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
  broker: Broker,
  source: Source,
  flags: SendFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const body =
    'words' in source ? Buffer.from(source.words) : await wholeBody(source.stream, broker.maxMessageBytes);
  const { id } = await producer.send(body, {
    id: flags.id,
    headers: flags.header,
    priority: flags.priority,
    signal,
  });
  if (output.json) await output.data(JSON.stringify({ id, queue: flags.queue, broker: broker.address }));
  else if (!output.quiet) await output.data(` [x] Sent '${showBody(body, output.terminal)}'`);
}

async function sendLines(
  producer: Producer<Uint8Array>,
  broker: Broker,
  source: Source,
  flags: SendFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const bodies = 'words' in source ? [] : lines(source.stream, broker.maxMessageBytes);
  const { stored } = await producer.sendMany(bodies, { signal });
  if (output.json) {
    await output.data(JSON.stringify({ sent: stored, queue: flags.queue, broker: broker.address }));
  } else if (!output.quiet) {
    await output.data(` [x] Sent ${stored} ${stored === 1 ? 'message' : 'messages'} to '${flags.queue}'`);
  }
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

async function chooseSource(words: readonly string[], { file }: SendFlags): Promise<Source> {
  if (file !== undefined && file !== '-') {
    try {
      return { stream: (await open(file)).createReadStream() };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CommandError(EXIT.usage, `--file: ${reason}`, { cause: error });
    }
  }
  if (file === '-' || isStandardInput(words)) return { stream: process.stdin };
  if (words.length > 0) return { words: words.join(' ') };
  if (isPiped(0)) return { stream: process.stdin };
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
  const { taken, stored, failed } = error.progress;
  const [first] = failed;
  const why =
    first === undefined ? rootCause(error).message : `line ${first.position + 1}: ${first.error.message}`;
  const text = `${stored} of the ${taken} lines read are stored; ${why}`;
  return new CommandError(exitCodeOf(error), text, { cause: error });
}

function interrupted(error: unknown, reason: CommandError): CommandError {
  const isUnknown =
    isQueueError(error, 'UNCONFIRMED') || (isQueueError(error) && error.progress !== undefined);
  const what = isUnknown ? (explained(error) as Error).message : 'nothing was sent';
  return new CommandError(reason.exitCode, `${reason.message}: ${what}`, { cause: error });
}

function rootCause(error: Error): Error {
  return error.cause instanceof Error ? rootCause(error.cause) : error;
}
