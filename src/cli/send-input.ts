/** The run of `send` and `publish`: they connect, send their input, and report how far they got. */
import { setMaxListeners } from 'node:events';
import { addAbortSignal } from 'node:stream';
import type { Command } from 'commander';
import type { Broker, MessageHeaders } from '../broker.js';
import { brokerEventLine } from '../common/reporting/event-line.js';
import { isQueueError, type SendManyProgress } from '../errors.js';
import type { MessageOptions } from '../producer/message-options.js';
import { chooseAddress } from './address.js';
import type { CommonFlags } from './common-options.js';
import { CommandError, EXIT, type ExitCode, exitCodeOf } from './exit-code.js';
import { lines, wholeBody } from './input.js';
import { checkCombination, chooseInput, type InputFlags } from './message-input.js';
import { openBroker, refuseMemory } from './open-broker.js';
import {
  durationOption,
  headerValue,
  integerValue,
  positiveDurationValue,
  shortTextValue,
} from './option-values.js';
import type { Output } from './output.js';
import { abortOnStopSignal } from './stop-signal.js';

export interface SendInputFlags extends CommonFlags, InputFlags {
  readonly id?: string;
  readonly header?: MessageHeaders;
  readonly priority?: number;
  readonly appId?: string;
  readonly ttl?: number;
  readonly contentType?: string;
  readonly schema?: string;
  readonly timeout: number;
}

/** The summary at the end, as text and as JSON. */
export interface SendReport {
  readonly text: string;
  readonly facts: Readonly<Record<string, unknown>>;
  /** A further note for the user. */
  readonly warning?: string | undefined;
}

type Limits = { readonly signal: AbortSignal };

/** Sends the input. */
export interface InputSender {
  one(body: Uint8Array, options: MessageOptions & Limits): Promise<SendReport>;
  many(bodies: AsyncIterable<Uint8Array>, options: Omit<MessageOptions, 'id'> & Limits): Promise<SendReport>;
}

/** The options of the input and of its messages. */
export function addMessageOptions(command: Command): Command {
  return command
    .option('-l, --lines', 'each line (ended by LF or CR LF) is a message, including empty ones')
    .option('-f, --file <path>', 'read the file instead of standard input')
    .option(
      '-H, --header <name:value>',
      'a header of the message; name:=json for values other than text; can be repeated',
      headerValue,
    )
    .option('--id <id>', 'the id of the message (default: a new UUID)')
    .option('--priority <n>', '0 to 31, higher first', integerValue(0, 31))
    .option('--app-id <name>', 'the program that sends the message', shortTextValue)
    .addOption(
      durationOption(
        '--ttl <duration>',
        'drop the message if it is not handled by then, or make it a dead letter',
        undefined,
        positiveDurationValue,
      ),
    )
    .option(
      '--content-type <type>',
      'the content type (default: application/json for a JSON object or array, text/plain for other text, else application/octet-stream)',
    )
    .addOption(durationOption('--timeout <duration>', 'how long a message may wait to be stored', '30s'));
}

/** `usage`: the command line that makes the command read standard input. */
export async function sendInput(
  command: 'send' | 'publish',
  words: readonly string[],
  flags: SendInputFlags,
  output: Output,
  { usage, open }: { readonly usage: string; readonly open: (broker: Broker) => InputSender },
): Promise<ExitCode> {
  checkCombination(words, flags);
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, command);
  const input = await chooseInput(words, flags, usage);

  const broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.event(brokerEventLine(event));
    },
  });
  const interruption = abortOnStopSignal();
  const { signal } = interruption;
  // Every message in flight adds a listener.
  setMaxListeners(0, signal);
  addAbortSignal(signal, input);
  try {
    const sender = open(broker);
    const { id, header: headers, priority, appId, ttl: expiresInMs } = flags;
    const options = { headers, priority, appId, expiresInMs, signal };
    const report = flags.lines
      ? await sender.many(lines(input, broker.maxMessageBytes), options)
      : await sender.one(await wholeBody(input, broker.maxMessageBytes), { ...options, id });
    if (output.json) await output.record({ ...report.facts, broker: broker.url });
    else if (!output.quiet) await output.block(` [x] ${report.text}`);
    if (report.warning !== undefined && !output.json) output.note(` [!] ${report.warning}`);
    return EXIT.ok;
  } catch (error) {
    throw signal.aborted ? interrupted(error, signal.reason) : explained(error);
  } finally {
    interruption.dispose();
    await broker.close();
  }
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
