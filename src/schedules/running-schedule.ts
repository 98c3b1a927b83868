import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { Backend, Publishing, SharedState, WaitOptions } from '../broker.js';
import type { Around, SendContext } from '../common/hooks/around.js';
import { backoffMs, CLOSE_LIMIT_MS, settledWithin } from '../common/waiting/waiting.js';
import { isQueueError } from '../errors.js';
import {
  isSameTiming,
  mergeProgress,
  nextStep,
  type Progress,
  parseProgress,
  progressText,
  type Step,
} from './progress.js';
import type { Schedule } from './schedule.js';
import { asError, makeTick, type Sending, sendTick, type TickFunctions } from './send-tick.js';
import { storedTiming, type Timing, timingText } from './timing.js';

/** An event of a schedule. */
export type ScheduleEvent =
  /** This program may send its ticks from now on: on a local broker along with others, on RabbitMQ exclusively. */
  | { readonly type: 'held'; readonly schedule: string }
  /** Another program may send them, since the connection was lost. */
  | { readonly type: 'lost'; readonly schedule: string; readonly reason: Error }
  | { readonly type: 'sent'; readonly schedule: string; readonly tick: Date; readonly id: string }
  /** The ticks from the first to the last of these passed while no scheduler ran, and are not sent. */
  | { readonly type: 'skipped'; readonly schedule: string; readonly from: Date; readonly to: Date }
  /** Another timing is in force: that of the program that started last. */
  | { readonly type: 'redefined'; readonly schedule: string; readonly from: string; readonly to: string }
  /** The last tick is hours ahead of the clock, which was wrong when that was sent: ticks follow the clock again. */
  | { readonly type: 'clock-set-back'; readonly schedule: string; readonly tick: Date }
  /** A tick could not be sent; it is retried after `retryInMs`. */
  | { readonly type: 'failed'; readonly schedule: string; readonly error: Error; readonly retryInMs: number }
  /** A function around a message threw after that was sent. It is not sent again. */
  | { readonly type: 'around-failed'; readonly schedule: string; readonly id: string; readonly error: Error };

/** The clock may be set at any time, so it is read again. */
const LOOK_EVERY_MS = 1000;

/** Ticks that are caught up follow each other; a broker in memory does not let other events through in between. */
const TURN_AFTER_MS = 20;

const BACKOFF = { initialDelayMs: 200, maxDelayMs: 30_000 };

/** The shared state of a schedule. */
export function stateName(schedule: string): string {
  return `schedule.${schedule}`;
}

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
 *   waiting for its turn ──► has its turn ──due──► sends ──► has its turn
 *           ▲                       └──lost──┐
 *           └────────────────────────────────┘
 */
export class RunningSchedule {
  readonly name: string;
  readonly #broker: Backend;
  readonly #schedule: Schedule;
  readonly #functions: TickFunctions;
  readonly #observe: (event: ScheduleEvent) => void;
  #initial: Progress | undefined;
  #state: SharedState | undefined;
  /** As known here. */
  #progress: Progress | undefined;
  #timing: Timing;
  /** The timing that was in force before, as text. */
  #replacedTiming: string | undefined;
  /** The definition in force, as last reported. */
  #toldTiming: string | undefined;
  #hasTurn = false;
  readonly #stop = new AbortController();
  #attempts = 0;
  #working: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: Backend, { schedule, around, observe }: RunningScheduleOptions) {
    this.name = schedule.name;
    this.#broker = broker;
    this.#schedule = schedule;
    this.#timing = schedule.timing;
    this.#functions = tickFunctions({ schedule, around, observe });
    this.#observe = observe;
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** While it has its turn. */
  get progress(): Progress | undefined {
    return this.#hasTurn ? this.#progress : undefined;
  }

  async start(wait: WaitOptions): Promise<void> {
    await this.#schedule.target.declare(this.#broker, wait);
    const now = Date.now();
    const initial = { timing: this.#schedule.timing.spec, chosenAt: now, since: now, tick: null, resets: 0 };
    this.#initial = initial;
    const callbacks = {
      initial: progressText(initial),
      merge: (value: string, other: string) => this.#merge(value, other),
      onTurn: (value: string) => this.#onTurn(value),
      onLost: (reason: Error) => this.#onLost(reason),
    };
    // From now on it keeps the process alive, whether it has its turn or waits for it.
    this.#setTimer(LOOK_EVERY_MS);
    this.#state = await this.#broker.openState(stateName(this.name), callbacks, wait);
    if (this.#stopped) await this.#state.close();
    this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    // Closing the state ends what an outage holds up.
    if (this.#working !== undefined) await settledWithin(this.#working, CLOSE_LIMIT_MS);
    await this.#state?.close();
  }

  #merge(value: string, other: string): string {
    const known = [value, other].map(parseProgress).filter((progress) => progress !== undefined);
    const [one = this.#initial as Progress, two = one] = known;
    const merged = mergeProgress(one, two, Date.now());
    const replaced = [one, two].find((progress) => !isSameTiming(progress, merged));
    if (replaced !== undefined) this.#replacedTiming = timingText(replaced.timing);
    return progressText(merged);
  }

  #onTurn(value: string): void {
    const progress = parseProgress(value) ?? (this.#initial as Progress);
    this.#progress = progress;
    if (!this.#hasTurn) this.#observe({ type: 'held', schedule: this.name });
    this.#hasTurn = true;
    const to = timingText(progress.timing);
    const from = this.#toldTiming ?? this.#replacedTiming ?? to;
    this.#toldTiming = to;
    if (from !== to) this.#observe({ type: 'redefined', schedule: this.name, from, to });
    this.#timing = storedTiming(progress.timing, this.#schedule.timing);
    this.#work();
  }

  #onLost(reason: Error): void {
    this.#hasTurn = false;
    this.#observe({ type: 'lost', schedule: this.name, reason });
  }

  /** Performs the steps that are due. */
  #work(): void {
    if (this.#working !== undefined || this.#state === undefined || this.#stopped) return;
    this.#working = this.#workOff().then((waitMs) => {
      this.#working = undefined;
      if (!this.#stopped) this.#setTimer(waitMs);
    });
  }

  /** Resolves to the time until the next step. Never rejects. */
  async #workOff(): Promise<number> {
    let turnAt = performance.now();
    try {
      while (this.#hasTurn && !this.#stopped && this.#state !== undefined) {
        const progress = this.#progress as Progress;
        const now = Date.now();
        const step = nextStep(progress, this.#timing, this.#schedule.catchUp, now);
        if (step.type === 'wait') {
          return Math.min(LOOK_EVERY_MS, Math.max(1, (step.until ?? Number.POSITIVE_INFINITY) - now));
        }
        await this.#do(step, progress, this.#state);
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

  async #do(step: Exclude<Step, { type: 'wait' }>, progress: Progress, state: SharedState): Promise<void> {
    const schedule = this.name;
    switch (step.type) {
      case 'send': {
        const tick = new Date(step.tick);
        const { maxMessageBytes } = this.#broker;
        const message = await makeTick(this.#schedule, tick, maxMessageBytes, this.#stop.signal);
        const sending = { target: this.#schedule.target, message };
        if (await this.#set(state, { ...progress, tick: step.tick }, sending))
          this.#observe({ type: 'sent', schedule, tick, id: message.id });
        break;
      }
      case 'skip': {
        const [from, to] = [new Date(step.from), new Date(step.to)];
        if (await this.#set(state, { ...progress, tick: step.to }))
          this.#observe({ type: 'skipped', schedule, from, to });
        break;
      }
      case 'reset': {
        const since = Date.now();
        const reset = { ...progress, since, tick: null, resets: progress.resets + 1 };
        if (await this.#set(state, reset))
          this.#observe({ type: 'clock-set-back', schedule, tick: new Date(step.tick) });
      }
    }
  }

  /** False if another program was first. */
  async #set(state: SharedState, progress: Progress, sending?: Sending): Promise<boolean> {
    const set = (publishing?: Publishing) => state.set(progressText(progress), publishing);
    const isSet = await (sending === undefined
      ? set()
      : sendTick(this.#broker, this.#functions, sending, this.#stop.signal, set));
    // Another program may have changed the timing meanwhile.
    if (isSet) this.#progress = mergeProgress(this.#progress as Progress, progress, Date.now());
    return isSet;
  }

  async #failed(thrown: unknown): Promise<number> {
    if (isQueueError(thrown, 'CLOSED') || this.#stopped) {
      this.#hasTurn = false;
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
