import type { BrokerEvent } from '../../broker.js';
import { DEFAULT_MAX_MESSAGE_BYTES } from '../../common/message/create-and-check.js';
import { checkOptionNames, durationOption, integerOption, wordOption } from '../../common/options.js';

export interface DiskBrokerOptions {
  /** Larger bodies are refused. Bytes. Default: 1 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * When a message counts as stored. `'flush'` (default): when it is on the disk, and survives a power failure.
   * `'commit'`: when all processes see it and it survives the death of any of them; a power failure may undo the
   * last of these, and harms nothing else.
   */
  readonly durability?: 'flush' | 'commit' | undefined;
  /**
   * How long a process keeps its messages if it is stalled, or if its death can't be detected from here (in another
   * container, for example), before they go to others. Milliseconds, from 100. Default: 30,000. Where several brokers
   * of one process have the same folder open, that of the first counts.
   */
  readonly leaseMs?: number | undefined;
  /** How long opening may take; a stalled process can delay it. Milliseconds. Default: 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Receives `redefined` when a definition changes an existing queue, `unsubscribed` and `resubscribed` when another
   * program has removed a queue that is consumed, and `ignored`.
   */
  readonly observe?: ((event: BrokerEvent) => void) | undefined;
}

/** For tests: a replacement for the store thread's module. */
export interface DiskBrokerInternals {
  readonly thread?: URL | undefined;
}

/** Throws `INVALID_OPTION`. */
export function checkDiskBrokerOptions(options: DiskBrokerOptions) {
  checkOptionNames('openDiskBroker', options, [
    'maxMessageBytes',
    'durability',
    'leaseMs',
    'connectTimeoutMs',
    'observe',
  ]);
  return {
    maxMessageBytes: integerOption('maxMessageBytes', options.maxMessageBytes, {
      min: 1,
      default: DEFAULT_MAX_MESSAGE_BYTES,
    }),
    durability: wordOption('durability', options.durability, ['flush', 'commit'], 'flush'),
    leaseMs: durationOption('leaseMs', options.leaseMs, { min: 100, default: 30_000 }),
    timeoutMs: durationOption('connectTimeoutMs', options.connectTimeoutMs, { min: 1, default: 10_000 }),
    observe: options.observe ?? (() => {}),
  };
}
