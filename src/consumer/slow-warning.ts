import { MAX_DELAY_MS } from '../common/options.js';

/** The share of its time after which a handler is reported as slow. */
const WARNING_SHARE = 0.8;

interface SlowWarning {
  /** Milliseconds from now. */
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
  /** How long this process has held the message: the broker counts from its delivery. */
  readonly heldMs: number;
}

/** When to warn about a handler that starts now; undefined if it has no time limit. */
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
