import { MAX_DELAY_MS } from '../common/options.js';

/** The share of its time after which a handler is reported as slow. */
const WARNING_SHARE = 0.8;

interface SlowWarning {
  /** Milliseconds from now on. */
  readonly afterMs: number;
  /** Milliseconds that are left then. */
  readonly leftMs: number;
  /** The limit that comes first. */
  readonly limit: 'handler' | 'broker';
}

interface HandlerLimits {
  readonly handlerTimeoutMs: number;
  /** As in `Delivery`. */
  readonly settleWithinMs: number | undefined;
  /** How long the message has been here already: the broker counts from its delivery. */
  readonly heldMs: number;
}

/** When to warn that a handler which begins now takes long; undefined if its time is unlimited. */
export function slowWarning({
  handlerTimeoutMs,
  settleWithinMs,
  heldMs,
}: HandlerLimits): SlowWarning | undefined {
  const brokerLeftMs = Math.max(0, (settleWithinMs ?? Number.POSITIVE_INFINITY) - heldMs);
  const limit = brokerLeftMs < handlerTimeoutMs ? 'broker' : 'handler';
  const afterMs =
    limit === 'broker'
      ? Math.max(0, WARNING_SHARE * (brokerLeftMs + heldMs) - heldMs)
      : WARNING_SHARE * handlerTimeoutMs;
  if (afterMs > MAX_DELAY_MS) return undefined;
  return { afterMs, leftMs: Math.min(brokerLeftMs, handlerTimeoutMs) - afterMs, limit };
}
