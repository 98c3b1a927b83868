import type { Broker, BrokerEvent } from '../broker.js';
import { connect } from '../connect.js';
import { isQueueError } from '../errors.js';
import { type ChosenAddress, isGivenByFlag } from './address.js';
import { CommandError, EXIT } from './exit-code.js';
import type { Output } from './output.js';

/**
 * Connects a command to its broker, and says which one that is. A bad address is a usage error or one of
 * configuration, by who gave it.
 */
export async function openBroker(
  chosen: ChosenAddress,
  output: Output,
  options: { readonly connectTimeout: number; readonly observe: (event: BrokerEvent) => void },
): Promise<Broker> {
  try {
    const broker = await connect(chosen.address, {
      connectTimeoutMs: options.connectTimeout,
      observe: options.observe,
    });
    // As JSON, the commands name it in what they print.
    if (!output.json) output.note(` [*] Broker: ${broker.address} (${chosen.source})`);
    return broker;
  } catch (error) {
    if (!isQueueError(error, 'INVALID_OPTION')) throw error;
    const exitCode = isGivenByFlag(chosen) ? EXIT.usage : EXIT.configuration;
    throw new CommandError(exitCode, `${chosen.source}: ${error.message}`, { cause: error });
  }
}

/** `send` and `work` are two processes: what one of them keeps in its memory the other never sees. */
export function refuseMemory(chosen: ChosenAddress, command: string): void {
  if (!/^\s*local:\s*$/i.test(chosen.address)) return;
  throw new CommandError(
    isGivenByFlag(chosen) ? EXIT.usage : EXIT.configuration,
    `${chosen.source} says 'local:', a queue in the memory of this process, which would be lost with it: '${command}' needs a queue on disk, such as local:./folder, or a RabbitMQ, such as amqp://localhost ('millrace demo' shows the queue in memory)`,
  );
}
