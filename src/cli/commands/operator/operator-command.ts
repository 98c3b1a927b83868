/** Shared parts of the operator commands: connection and confirmation. */
import type { Command } from 'commander';
import type { Broker, Operator, QueueInfo } from '../../../broker.js';
import { operatorOf } from '../../../common/backend-of.js';
import { brokerEventLine } from '../../../common/reporting/event-line.js';
import { targetOf } from '../../../connect.js';
import { folderHasStore } from '../../../diagnose.js';
import { isQueueError } from '../../../errors.js';
import { type ChosenAddress, chooseAddress } from '../../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import { openBroker, refuseMemory, STORED_MESSAGE_BYTES } from '../../open-broker.js';
import {
  durationOption,
  type ManagementFlags,
  managementOption,
  positiveDurationValue,
} from '../../option-values.js';
import type { Output } from '../../output.js';
import { abortOnStopSignal } from '../../stop-signal.js';

export interface OperatorFlags extends CommonFlags, ManagementFlags {
  /** How long an answer may take. Milliseconds. */
  readonly timeout: number;
}

export interface DangerousFlags extends OperatorFlags {
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

const MANAGEMENT_HELP = `
RabbitMQ: figures that AMQP does not report come from the management API: at --management-url, else at port 15672 of the broker's host (15671 with amqps), with the user of the address.`;

export function addOperatorOptions(command: Command, ...notes: readonly string[]): Command {
  command
    .addOption(managementOption())
    .addOption(
      durationOption('--timeout <duration>', 'how long to wait for a response', '10s', positiveDurationValue),
    );
  addHelp(command, ...notes, MANAGEMENT_HELP, ADDRESS_HELP);
  return command;
}

/** Adds the options of a command that can't be undone. */
export function addDangerousOptions(command: Command, what: string): Command {
  return command.option('--dry-run', `only print what would be ${what}`).option('--force', 'do not ask');
}

export interface Operation {
  readonly broker: Broker;
  readonly operator: Operator;
  /** Opens the address of a broker that has ended once more. The job closes it. */
  readonly reopen: (ended: Broker) => Promise<Broker>;
  readonly signal: AbortSignal;
  /** For each request. */
  readonly wait: { readonly signal: AbortSignal; readonly timeoutMs: number };
}

/**
 * Opens the broker, runs `job` and closes it. Creates no folder: if there is none, it returns the result of
 * `whenEmpty`.
 */
export async function withOperator(
  name: string,
  flags: OperatorFlags,
  output: Output,
  whenEmpty: (where: string) => ExitCode,
  job: (operation: Operation) => Promise<ExitCode>,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, name);
  const empty = await emptyFolder(chosen);
  if (empty !== undefined) return whenEmpty(`local:${empty}`);
  const { connectTimeout, managementUrl, timeout } = flags;
  const open = (address: string) =>
    openBroker({ ...chosen, address }, output, {
      connectTimeout,
      managementUrl,
      maxMessageBytes: STORED_MESSAGE_BYTES,
      observe: (event) => {
        if (event.type !== 'connected') output.event(brokerEventLine(event));
      },
    });
  const broker = await open(chosen.address);
  const interruption = abortOnStopSignal();
  const { signal } = interruption;
  try {
    return await job({
      broker,
      operator: operatorOf(broker),
      reopen: ({ url }) => open(url),
      signal,
      wait: { signal, timeoutMs: timeout },
    });
  } catch (error) {
    if (signal.aborted && isQueueError(error, 'ABORTED')) throw signal.reason;
    throw isQueueError(error, 'UNSUPPORTED') ? withFlag(error) : error;
  } finally {
    interruption.dispose();
    await broker.close();
  }
}

/** Of a command about one queue. */
export function noSuchQueue(queue: string): (where: string) => never {
  return (where) => {
    throw new CommandError(EXIT.empty, `there is no queue '${queue}': ${where} has no queues`);
  };
}

/** The path of a folder without queues; undefined for any other address. */
async function emptyFolder({ address }: ChosenAddress): Promise<string | undefined> {
  let target: ReturnType<typeof targetOf>;
  try {
    target = targetOf(address);
  } catch {
    // Opening the broker reports its fault.
    return undefined;
  }
  if (target.kind !== 'folder' || (await folderHasStore(target.path))) return undefined;
  return target.path;
}

/** On the command line the option has another name. */
function withFlag(error: Error): CommandError {
  const text = error.message.replace('as managementUrl', 'as --management-url');
  return new CommandError(EXIT.usage, text, { cause: error });
}

/** Whether to continue with a dangerous action. Throws if there is no terminal for confirmation. */
export async function isAgreed(
  command: string,
  question: string,
  { force = false }: DangerousFlags,
  output: Output,
  signal: AbortSignal,
): Promise<boolean> {
  if (force) return true;
  if (!(process.stdin.isTTY === true && process.stderr.isTTY === true)) {
    throw new CommandError(
      EXIT.usage,
      `${question.replace(/\?$/, '')}: without a terminal '${command}' cannot ask; add --force, or --dry-run to see what it would do`,
    );
  }
  const agreed = await output.confirm(question, signal);
  if (signal.aborted) throw signal.reason;
  return agreed;
}

/** `3 ready, 1 unsettled and 2 delayed messages`, as far as they are known. */
export function contentOf({ ready, unsettled, delayed }: QueueInfo): string {
  const parts = [
    `${ready} ready`,
    ...(unsettled ? [`${unsettled} unsettled`] : []),
    ...(delayed ? [`${delayed} delayed`] : []),
  ];
  const last = parts.pop();
  return `${parts.length === 0 ? '' : `${parts.join(', ')} and `}${last} message${ready === 1 && parts.length === 0 ? '' : 's'}`;
}
