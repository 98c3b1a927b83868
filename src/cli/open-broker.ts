/** Connects commands to their broker. */
import type { Broker, BrokerEvent } from '../broker.js';
import { brokerEventLine } from '../common/reporting/event-line.js';
import { connect } from '../connect.js';
import { isQueueError } from '../errors.js';
import { badAddressExitCode, type ChosenAddress, chooseAddress } from './address.js';
import type { CommonFlags } from './common-options.js';
import { CommandError, EXIT, type ExitCode } from './exit-code.js';
import type { Output } from './output.js';
import { abortOnStopSignal } from './stop-signal.js';

/**
 * For commands about messages that are stored already: what an application may send, they can move. RabbitMQ refuses
 * more than this in any version, unless it is configured otherwise.
 */
export const STORED_MESSAGE_BYTES = 128 * 1024 * 1024;

/** Connects a command to its broker, and prints its address unless the command does so itself (`isNamedLater`). */
export async function openBroker(
  chosen: ChosenAddress,
  output: Output,
  options: {
    readonly connectTimeout: number;
    readonly observe: (event: BrokerEvent) => void;
    readonly isNamedLater?: boolean;
    readonly managementUrl?: string | undefined;
    readonly maxMessageBytes?: number;
  },
): Promise<Broker> {
  try {
    const broker = await connect(chosen.address, {
      connectTimeoutMs: options.connectTimeout,
      observe: options.observe,
      managementUrl: options.managementUrl,
      maxMessageBytes: options.maxMessageBytes,
    });
    // With --json, commands name the broker in their data.
    if (!output.json && !options.isNamedLater) output.note(` [*] Broker: ${broker.url} (${chosen.source})`);
    return broker;
  } catch (error) {
    throw refusedAddress(chosen, error);
  }
}

/** The same error, or one that names the setting to correct. */
export function refusedAddress(chosen: ChosenAddress, error: unknown): unknown {
  if (!isQueueError(error, 'INVALID_OPTION')) return error;
  return new CommandError(badAddressExitCode(chosen), `${chosen.source}: ${error.message}`, {
    cause: error,
  });
}

/** Commands are separate processes: a queue in the memory of one is invisible to the next. */
export function refuseMemory(chosen: ChosenAddress, command: string): void {
  if (!/^\s*local:\s*$/i.test(chosen.address)) return;
  throw new CommandError(
    badAddressExitCode(chosen),
    `${chosen.source} is 'local:', a queue in memory that is lost with this process: '${command}' needs a folder (local:./folder) or RabbitMQ (amqp://localhost)`,
  );
}

/**
 * Runs `job` on the broker that the flags name. The signal is aborted by INT and TERM; an error that the job then
 * throws becomes the error of `interrupted`, by default the signal itself.
 */
export async function withBroker(
  command: string,
  flags: CommonFlags,
  output: Output,
  job: (broker: Broker, signal: AbortSignal) => Promise<ExitCode>,
  interrupted: (error: unknown, bySignal: CommandError) => unknown = (_, bySignal) => bySignal,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, command);
  const limits = { maxMessageBytes: STORED_MESSAGE_BYTES };
  return runOn(chosen, flags, output, limits, async (broker, { signal }) => {
    try {
      return await job(broker, signal);
    } catch (error) {
      throw signal.aborted ? interrupted(error, signal.reason as CommandError) : error;
    }
  });
}

/**
 * Runs `job` on the broker that the flags name, else in memory, for commands that must not put load on a broker by
 * accident. The signal is aborted by INT and TERM, and when the output is closed.
 */
export async function withTrialBroker(
  flags: CommonFlags,
  output: Output,
  job: (broker: Broker, signal: AbortSignal) => Promise<void>,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags, {}, () => 'local:');
  return runOn(chosen, flags, output, {}, async (broker, interruption) => {
    output.closed.then(() => interruption.abort());
    await job(broker, interruption.signal);
    return EXIT.ok;
  });
}

/** Opens the broker, and closes it after the job. */
async function runOn(
  chosen: ChosenAddress,
  { connectTimeout }: CommonFlags,
  output: Output,
  limits: { readonly maxMessageBytes?: number },
  job: (broker: Broker, interruption: ReturnType<typeof abortOnStopSignal>) => Promise<ExitCode>,
): Promise<ExitCode> {
  const broker = await openBroker(chosen, output, {
    ...limits,
    connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.event(brokerEventLine(event));
    },
  });
  const interruption = abortOnStopSignal();
  try {
    return await job(broker, interruption);
  } finally {
    interruption.dispose();
    await broker.close();
  }
}
