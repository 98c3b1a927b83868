import type { Broker, BrokerEvent } from '../broker.js';
import { connect } from '../connect.js';
import { isQueueError } from '../errors.js';
import { type ChosenAddress, isGivenByFlag } from './address.js';
import { CommandError, EXIT } from './exit-code.js';

/** Connects a command to its broker. A bad address is a usage error or one of configuration, by who gave it. */
export async function openBroker(
  chosen: ChosenAddress,
  options: { readonly connectTimeout: number; readonly observe: (event: BrokerEvent) => void },
): Promise<Broker> {
  try {
    return await connect(chosen.address, {
      connectTimeoutMs: options.connectTimeout,
      observe: options.observe,
    });
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
    `${chosen.source} says 'local:', a queue in the memory of this process, which would be lost with it: '${command}' needs a RabbitMQ such as amqp://localhost ('millrace demo' shows the queue in memory)`,
  );
}
