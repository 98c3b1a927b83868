import type { Broker } from './broker.js';
import { QueueError } from './errors.js';
import { openMemoryBroker } from './local-queue/memory-broker.js';
import { DEFAULT_MAX_MESSAGE_BYTES } from './message-size.js';
import { checkOptionNames, integerOption, invalidOption, quote } from './options.js';
import { maskAddress } from './rabbitmq/address.js';
import { RABBITMQ_OPTION_NAMES, type RabbitMqOptions } from './rabbitmq/options.js';

/** What {@link connect} takes besides the address. Those of RabbitMQ have no effect on `local:`. */
export type ConnectOptions = RabbitMqOptions;

/**
 * Connects to a message broker.
 *
 * | address | broker |
 * |---|---|
 * | `local:` | in this process, in memory; each call makes a new, empty one |
 * | `amqp://user:password@host:port/vhost`, `amqps://…` | RabbitMQ; several, as a list or separated by commas, are tried in turn |
 *
 * ```ts
 * const broker = await connect(process.env.AMQP_URL ?? 'local:');
 * ```
 *
 * Rejects: `INVALID_OPTION`, `UNREACHABLE` when no address answered within `connectTimeoutMs`, `ACCESS_REFUSED`.
 */
export async function connect(
  address: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Broker> {
  checkOptionNames('connect', options, RABBITMQ_OPTION_NAMES);
  const addresses = toAddresses(address);
  const schemes = new Set(addresses.map(schemeOf));
  if (schemes.has('local:')) {
    const [first] = addresses;
    if (addresses.length > 1 || first !== 'local:') {
      throw invalidOption(
        'address',
        "'local:' alone for the broker in memory",
        addresses.map(maskAddress).join(','),
      );
    }
    return openMemoryBroker({
      maxMessageBytes: integerOption('maxMessageBytes', options.maxMessageBytes, {
        min: 1,
        default: DEFAULT_MAX_MESSAGE_BYTES,
      }),
    });
  }
  // Loaded when it is asked for: those who stay in process need no amqplib.
  const { openRabbitMqBroker } = await import('./rabbitmq/rabbitmq-broker.js');
  return openRabbitMqBroker(addresses, options);
}

function toAddresses(address: string | readonly string[]): readonly string[] {
  const list = typeof address === 'string' ? address.split(',') : address;
  if (!Array.isArray(list) || list.length === 0 || !list.every((item) => typeof item === 'string')) {
    throw invalidOption('address', "'local:', an amqp: URL, or a list of amqp: URLs", address);
  }
  return list.map((item: string) => item.trim());
}

function schemeOf(address: string): 'local:' | 'amqp:' | 'amqps:' {
  const scheme = /^[a-z]+:/i.exec(address)?.[0].toLowerCase();
  if (scheme === 'local:' || scheme === 'amqp:' || scheme === 'amqps:') return scheme;
  throw new QueueError(
    'INVALID_OPTION',
    `the address ${quote(maskAddress(address))} is none that millrace knows; write 'local:' or 'amqp://user:password@host:port/vhost'`,
  );
}
