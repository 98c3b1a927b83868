import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { Backend, Publishing, WaitOptions } from '../broker.js';
import type { Around, SendContext } from '../common/hooks/around.js';
import { backoffMs, CLOSE_LIMIT_MS, settledWithin } from '../common/waiting/waiting.js';
import { isQueueError } from '../errors.js';
import type { ScheduleEvent } from './event-report.js';
import { nextStep, type Progress, type Step } from './progress.js';
import type { Schedule } from './schedule.js';
import { ScheduleClaim } from './schedule-claim.js';
import { asError, makeTick, sendTick, type TickFunctions } from './send-tick.js';

/** The clock may be set at any time, so it is read again. */
const LOOK_EVERY_MS = 1000;

/** Ticks that are caught up follow each other; a broker in memory does not let other events through in between. */
const TURN_AFTER_MS = 20;

const BACKOFF = { initialDelayMs: 200, maxDelayMs: 30_000 };

export interface RunningScheduleOptions {
  readonly schedule: Schedule;
  readonly around: Around<SendContext> | undefined;
  readonly observe: (event: ScheduleEvent) => void;
}

export function tickFunctions({ schedule, around, observe }: RunningScheduleOptions): TickFunctions {
  const { name } = schedule;
  return {
    around,
    onLateError: (id, error) => observe({ type: 'around-failed', schedule: name, id, error }),
  };
}

/**
 * One schedule in one program.
 *
 *   waiting for its claim ──held──► waiting for a tick ──due──► sends ──► waiting for a tick
 *           ▲                              └──lost──┐
 *           └───────────────────────────────────────┘
 */
export class RunningSchedule {
  readonly name: string;
  readonly #broker: Backend;
  readonly #schedule: Schedule;
  readonly #functions: TickFunctions;
  readonly #observe: (event: ScheduleEvent) => void;
  readonly #claim: ScheduleClaim;
  readonly #stop = new AbortController();
  #attempts = 0;
  #working: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: Backend, { schedule, around, observe }: RunningScheduleOptions) {
    this.name = schedule.name;
    this.#broker = broker;
    this.#schedule = schedule;
    this.#functions = tickFunctions({ schedule, around, observe });
    this.#observe = observe;
    this.#claim = new ScheduleClaim(schedule, { observe, onHeld: () => this.#work() });
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** The progress, while this program may send the ticks. */
  get progress(): Progress | undefined {
    return this.#claim.progress;
  }

  async start(wait: WaitOptions): Promise<void> {
    await this.#schedule.target.declare(this.#broker, wait);
    // From now on it keeps the process alive, whether it holds its claim or waits for it.
    this.#setTimer(LOOK_EVERY_MS);
    await this.#claim.open(this.#broker, wait);
    if (this.#stopped) await this.#claim.close();
    this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    // Closing the claim ends what an outage holds up.
    if (this.#working !== undefined) await settledWithin(this.#working, CLOSE_LIMIT_MS);
    await this.#claim.close();
  }

  /** Performs the steps that are due. */
  #work(): void {
    if (this.#working !== undefined || !this.#claim.isOpen || this.#stopped) return;
    this.#working = this.#workOff().then((waitMs) => {
      this.#working = undefined;
      if (!this.#stopped) this.#setTimer(waitMs);
    });
  }

  /** Resolves to the time until the next step. Never rejects. */
  async #workOff(): Promise<number> {
    let turnAt = performance.now();
    try {
      for (;;) {
        const { progress, timing } = this.#claim;
        if (progress === undefined || this.#stopped) break;
        const now = Date.now();
        const step = nextStep(progress, timing, this.#schedule.catchUp, now);
        if (step.type === 'wait') {
          return Math.min(LOOK_EVERY_MS, Math.max(1, (step.until ?? Number.POSITIVE_INFINITY) - now));
        }
        await this.#do(step, progress);
        this.#attempts = 0;
        if (performance.now() - turnAt < TURN_AFTER_MS) continue;
        await eventLoopTurn();
        turnAt = performance.now();
      }
      return LOOK_EVERY_MS;
    } catch (error) {
      return this.#failed(error);
    }
  }

  async #do(step: Exclude<Step, { type: 'wait' }>, progress: Progress): Promise<void> {
    const schedule = this.name;
    switch (step.type) {
      case 'send': {
        const tick = new Date(step.tick);
        const { maxMessageBytes } = this.#broker;
        const message = await makeTick(this.#schedule, tick, maxMessageBytes, this.#stop.signal);
        const sending = { target: this.#schedule.target, message };
        const recordAndSend = (publishing: Publishing) =>
          this.#claim.record({ ...progress, tick: step.tick }, publishing);
        if (await sendTick(this.#broker, this.#functions, sending, this.#stop.signal, recordAndSend))
          this.#observe({ type: 'sent', schedule, tick, id: message.id });
        break;
      }
      case 'skip': {
        const [from, to] = [new Date(step.from), new Date(step.to)];
        if (await this.#claim.record({ ...progress, tick: step.to }))
          this.#observe({ type: 'skipped', schedule, from, to });
        break;
      }
      case 'reset': {
        const since = Date.now();
        const reset = { ...progress, since, tick: null, resets: progress.resets + 1 };
        if (await this.#claim.record(reset))
          this.#observe({ type: 'clock-set-back', schedule, tick: new Date(step.tick) });
      }
    }
  }

  async #failed(thrown: unknown): Promise<number> {
    if (isQueueError(thrown, 'CLOSED') || this.#stopped) {
      this.#claim.drop();
      return LOOK_EVERY_MS;
    }
    if (isQueueError(thrown, 'UNROUTABLE')) {
      await this.#schedule.target.declare(this.#broker, { signal: this.#stop.signal }).catch(() => {});
    }
    const error = asError(thrown);
    this.#attempts++;
    const retryInMs = backoffMs(this.#attempts, BACKOFF);
    this.#observe({ type: 'failed', schedule: this.name, error, retryInMs });
    return retryInMs;
  }

  #setTimer(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#work(), Math.max(1, Math.ceil(waitMs)));
  }
}
