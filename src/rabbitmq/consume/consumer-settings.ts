import type { QueueSpec, SubscribeOptions } from '../../broker.js';

/** How a consumer subscribes, and properties of its queue. */
export interface ConsumerSettings {
  readonly prefetch: number;
  readonly priority: number | undefined;
  /** As in `Delivery`. */
  readonly settleWithinMs: number | undefined;
  /** As in `DeliverySource`. */
  readonly countsReturns: boolean;
  /** As in `SubscribeOptions`. */
  readonly exactDelaysMs: readonly number[];
  /** Its queue serves one consumer at a time, and the next one when this one ends. */
  readonly isSingleActive: boolean;
}

/** `spec`: the definition of the queue, if it was declared here. Nothing else says how the queue works. */
export function consumerSettings(options: SubscribeOptions, spec: QueueSpec | undefined): ConsumerSettings {
  const { prefetch, concurrency = prefetch, priority, exactDelaysMs = [] } = options;
  const isSingleActive = spec?.arguments['x-single-active-consumer'] === true;
  return {
    prefetch: isSingleActive ? Math.min(prefetch, concurrency) : prefetch,
    priority,
    settleWithinMs: consumerTimeoutMs(spec),
    countsReturns: spec?.type !== 'classic',
    exactDelaysMs,
    isSingleActive,
  };
}

/** Classic queues have none since RabbitMQ 4.3. */
function consumerTimeoutMs(spec: QueueSpec | undefined): number | undefined {
  const timeout = spec?.type === 'quorum' ? spec.arguments['x-consumer-timeout'] : undefined;
  return typeof timeout === 'number' && timeout > 0 ? timeout : undefined;
}
