import { homedir } from 'node:os';
import type { Broker } from './broker.js';
import { checkOptionNames, invalidOption, quote } from './common/options.js';
import { brokerObserver, checkLogger, type Logger, useLogger } from './common/reporting/logger.js';
import { QueueError } from './errors.js';
import { openMemoryBroker } from './local-queue/memory/broker.js';
import { maskAddress } from './rabbitmq/address.js';
import { RABBITMQ_OPTION_NAMES, type RabbitMqOptions } from './rabbitmq/options.js';

/** Options of {@link connect}. All have defaults; each says which brokers it is for. */
export interface ConnectOptions extends RabbitMqOptions {
  /**
   * `local:FOLDER`: when a message counts as stored. `'flush'` (default): when it is on the disk, and survives a
   * power failure. `'commit'`: when it survives the death of any process; a power failure may undo the last ones.
   */
  readonly durability?: 'flush' | 'commit' | undefined;
  /**
   * `local:FOLDER`: how long a stalled process keeps its messages before they go to others; those of a process known to
   * be dead go at once. Milliseconds, from 100. Default: 30,000.
   */
  readonly leaseMs?: number | undefined;
  /**
   * Logs the events of the broker and of its consumers' messages to a logger: `console`, pino, anything with `info`,
   * `warn` and `error`. Each is called with an object and a text; the object has the `event`, and the error as `err`.
   * Without it, and without `observe`, failures are process warnings.
   */
  readonly logger?: Logger | undefined;
}

/**
 * Connects to a message broker.
 *
 * | URL | broker |
 * |---|---|
 * | `local:` | in this process, in memory; each call makes a new, empty one |
 * | `local:./folder`, `local:/folder`, `local:~/folder` | on disk, shared by all processes of this machine that name the folder |
 * | `amqp://user:password@host:port/vhost`, `amqps://…` | RabbitMQ; several, as a list or separated by commas, are tried in turn |
 *
 * ```ts
 * const broker = await connect(process.env.AMQP_URL ?? 'local:');
 * ```
 *
 * Rejects: `INVALID_OPTION`; `UNREACHABLE` if no broker answered, or the folder could not be opened, within
 * `connectTimeoutMs`; `ACCESS_REFUSED`; `STORAGE_ERROR` and `STORAGE_FULL` if a folder can't be used.
 */
export async function connect(
  url: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Broker> {
  checkOptionNames('connect', options, [...RABBITMQ_OPTION_NAMES, 'durability', 'leaseMs', 'logger']);
  const { logger, ...others } = options;
  checkLogger(logger);
  const target = targetOf(url);
  const observe = brokerObserver(options.observe, logger);
  const broker = await open(target, { ...others, observe });
  const ignored = FOREIGN_OPTIONS[target.kind].filter((name) => options[name] !== undefined);
  if (ignored.length > 0) observe({ type: 'ignored', queue: undefined, options: ignored });
  useLogger(broker, logger);
  return broker;
}

const DISK_OPTIONS = ['durability', 'leaseMs'] as const;

/** Options that only RabbitMQ supports. */
const LINK_OPTIONS = [
  'connectionName',
  'tls',
  'heartbeatMs',
  'reconnect',
  'maxUnconfirmed',
  'credentials',
] as const satisfies readonly (keyof RabbitMqOptions)[];

/** Options for other kinds of brokers: they have no effect, and that is reported. */
const FOREIGN_OPTIONS: Readonly<Record<BrokerTarget['kind'], readonly (keyof ConnectOptions)[]>> = {
  memory: [...LINK_OPTIONS, ...DISK_OPTIONS],
  folder: LINK_OPTIONS,
  rabbitmq: DISK_OPTIONS,
};

type OpenOptions = Omit<ConnectOptions, 'logger'>;

async function open(target: BrokerTarget, options: OpenOptions): Promise<Broker> {
  if (target.kind !== 'rabbitmq') return openLocalBroker(target, options);
  const { durability: _, leaseMs: __, ...rabbitMqOptions } = options;
  // Loaded when it is needed: a program that stays in its process needs no amqplib.
  const { openRabbitMqBroker } = await import('./rabbitmq/rabbitmq-broker.js');
  return openRabbitMqBroker(target.addresses, rabbitMqOptions);
}

/** Which broker a URL names. */
export type BrokerTarget =
  | { readonly kind: 'memory' }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'rabbitmq'; readonly addresses: readonly string[] };

const LOCAL = /^local:/i;

/** Throws `INVALID_OPTION`. */
export function targetOf(address: string | readonly string[]): BrokerTarget {
  const addresses = toAddresses(address);
  const [first] = addresses;
  if (first !== undefined && addresses.length === 1 && LOCAL.test(first)) {
    const folder = first.replace(LOCAL, '');
    if (folder === '') return { kind: 'memory' };
    // A shell puts the home folder there only at the beginning of a word.
    return { kind: 'folder', path: folder.replace(/^~(?=\/|$)/, homedir()) };
  }
  for (const each of addresses) checkAmqp(each);
  return { kind: 'rabbitmq', addresses };
}

async function openLocalBroker(
  target: Exclude<BrokerTarget, { kind: 'rabbitmq' }>,
  { maxMessageBytes, durability, leaseMs, connectTimeoutMs, observe }: OpenOptions,
): Promise<Broker> {
  if (target.kind === 'memory') return openMemoryBroker({ maxMessageBytes, observe });
  // Loaded on demand: only folders need SQLite.
  const { openDiskBroker } = await import('./local-queue/disk/broker.js');
  return openDiskBroker(target.path, { maxMessageBytes, durability, leaseMs, connectTimeoutMs, observe });
}

/** A path may hold commas; only AMQP addresses come as several. */
function toAddresses(address: string | readonly string[]): readonly string[] {
  const one = typeof address === 'string' ? address.trim() : undefined;
  const list = one === undefined ? address : LOCAL.test(one) ? [one] : one.split(',');
  if (!Array.isArray(list) || list.length === 0 || !list.every((item) => typeof item === 'string')) {
    throw invalidOption('url', "'local:', 'local:./folder', an amqp: URL, or a list of those", address);
  }
  return list.map((item: string) => item.trim());
}

function checkAmqp(address: string): void {
  if (/^amqps?:/i.test(address)) return;
  throw new QueueError(
    'INVALID_OPTION',
    LOCAL.test(address)
      ? `${quote(address)} is one of several URLs; only RabbitMQ takes several`
      : `unknown broker URL ${quote(maskAddress(address))}: use 'local:', 'local:./folder' or 'amqp://user:password@host:port/vhost'`,
  );
}
