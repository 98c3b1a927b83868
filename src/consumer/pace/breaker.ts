import { checkOptionNames, durationOption, integerOption } from '../../common/options.js';
import type { Outcome } from '../settlement.js';

/** When a consumer pauses on its own, instead of letting every message fail and be retried. */
export interface BreakerOptions {
  /** It pauses when this many of the last `ofLast` handlers have failed. At least 1. Default: 10, or `ofLast` if less. */
  readonly failures?: number | undefined;
  /** How many of the last handlers are counted: `failures` to 10,000. Default: twice `failures`. */
  readonly ofLast?: number | undefined;
  /**
   * How long a pause lasts. Milliseconds, at least 1. After it, one handler runs: if it fails, the consumer pauses again.
   * Default: 30,000.
   */
  readonly pauseMs?: number | undefined;
}

/** The options, completed. */
export type BreakerSettings = { readonly [Name in keyof BreakerOptions]-?: number };

const MAX_OUTCOMES = 10_000;

/** Throws `INVALID_OPTION`. */
export function breakerOption(breaker: BreakerOptions | undefined): BreakerSettings | undefined {
  if (breaker === undefined) return undefined;
  checkOptionNames('breaker', breaker, ['failures', 'ofLast', 'pauseMs']);
  const bounds = { min: 1, max: MAX_OUTCOMES };
  const most = integerOption('breaker.ofLast', breaker.ofLast, { ...bounds, default: MAX_OUTCOMES });
  const failures = integerOption('breaker.failures', breaker.failures, {
    ...bounds,
    default: Math.min(10, most),
  });
  return {
    failures,
    ofLast: integerOption('breaker.ofLast', breaker.ofLast, {
      min: failures,
      max: MAX_OUTCOMES,
      default: Math.min(2 * failures, MAX_OUTCOMES),
    }),
    pauseMs: durationOption('breaker.pauseMs', breaker.pauseMs, { min: 1, default: 30_000 }),
  };
}

/**
 *   closed ──`failures` of `ofLast` failed──► open ──pauseMs──► half open ──a handler succeeds──► closed
 *     ▲                                        ▲                   │
 *     └── reset() ─────────────────────────────└── a handler fails ┘
 */
export class Breaker {
  readonly #options: BreakerSettings;
  readonly #onOpen: (pauseMs: number) => void;
  readonly #onHalfOpen: () => void;
  readonly #onClosed: () => void;
  #state: 'closed' | 'open' | 'half-open' = 'closed';
  /** Whether each of the last handlers failed. A ring buffer. */
  #outcomes: boolean[] = [];
  #next = 0;
  #failed = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    options: BreakerSettings,
    on: { open(pauseMs: number): void; halfOpen(): void; closed(): void },
  ) {
    this.#options = options;
    this.#onOpen = on.open;
    this.#onHalfOpen = on.halfOpen;
    this.#onClosed = on.closed;
  }

  /** Whether it tries one message after its pause. */
  get isHalfOpen(): boolean {
    return this.#state === 'half-open';
  }

  /** Counts successes and failures. Other outcomes are no evidence about the services that handlers depend on. */
  readonly watch = ({ type }: Outcome): void => {
    if (type === 'handled' || type === 'failed') this.note(type === 'failed');
  };

  /** A handler has ended. */
  note(hasFailed: boolean): void {
    if (this.#state === 'open') return;
    if (this.#state === 'half-open') {
      if (hasFailed) this.#open();
      else this.reset();
      return;
    }
    const { ofLast, failures } = this.#options;
    if (this.#outcomes[this.#next] === true) this.#failed--;
    this.#outcomes[this.#next] = hasFailed;
    this.#next = (this.#next + 1) % ofLast;
    if (!hasFailed) return;
    this.#failed++;
    if (this.#failed >= failures) this.#open();
  }

  /** Closes it and forgets all failures. */
  reset(): void {
    this.stop();
    const wasClosed = this.#state === 'closed';
    this.#state = 'closed';
    this.#forget();
    if (!wasClosed) this.#onClosed();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #open(): void {
    this.#state = 'open';
    this.#forget();
    // Whether the process stays alive is up to the paused consumer.
    this.#timer = setTimeout(() => {
      this.#state = 'half-open';
      this.#onHalfOpen();
    }, this.#options.pauseMs).unref();
    this.#onOpen(this.#options.pauseMs);
  }

  #forget(): void {
    this.#outcomes = [];
    this.#next = 0;
    this.#failed = 0;
  }
}
