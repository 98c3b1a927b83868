import type { Backend, Publishing, SharedState, WaitOptions } from '../broker.js';
import type { ScheduleEvent } from './event-report.js';
import { isSameTiming, mergeProgress, type Progress, parseProgress, progressText } from './progress.js';
import type { Schedule } from './schedule.js';
import { storedTiming, type Timing, timingText } from './timing.js';

/** The name of the shared state in which the programs that run a schedule keep its progress. */
export function stateName(schedule: string): string {
  return `schedule.${schedule}`;
}

interface ClaimCallbacks {
  readonly observe: (event: ScheduleEvent) => void;
  /** Called when it is held, or when another program has changed the progress meanwhile. */
  readonly onHeld: () => void;
}

/**
 * The claim of one program to send the ticks of a schedule, of which any number of programs have one. On RabbitMQ one of
 * them holds it, and the next one when that ends. On a local broker all hold it, and the first to record a tick sends it.
 */
export class ScheduleClaim {
  readonly #schedule: Schedule;
  readonly #callbacks: ClaimCallbacks;
  #initial: Progress;
  #state: SharedState | undefined;
  /** As known here. */
  #progress: Progress | undefined;
  #timing: Timing;
  /** The timing that was in force before, as text. */
  #replacedTiming: string | undefined;
  /** The definition in force, as last reported. */
  #reportedTiming: string | undefined;
  #isHeld = false;

  constructor(schedule: Schedule, callbacks: ClaimCallbacks) {
    this.#schedule = schedule;
    this.#callbacks = callbacks;
    this.#timing = schedule.timing;
    this.#initial = initialProgress(schedule);
  }

  get isOpen(): boolean {
    return this.#state !== undefined;
  }

  /** The progress, while the claim is held. */
  get progress(): Progress | undefined {
    return this.#isHeld ? this.#progress : undefined;
  }

  /** The timing in force. */
  get timing(): Timing {
    return this.#timing;
  }

  /** Rejects as `openState` does. */
  async open(broker: Backend, wait: WaitOptions): Promise<void> {
    this.#initial = initialProgress(this.#schedule);
    const callbacks = {
      initial: progressText(this.#initial),
      merge: (value: string, other: string) => this.#merge(value, other),
      onTurn: (value: string) => this.#hold(value),
      onLost: (reason: Error) => this.#lose(reason),
    };
    this.#state = await broker.openState(stateName(this.#schedule.name), callbacks, wait);
  }

  /**
   * Records the progress, and sends the message of its tick in the same step. False if another program was first. Rejects
   * as `SharedState.set` does.
   */
  async record(progress: Progress, publishing?: Publishing): Promise<boolean> {
    const isSet = await (this.#state as SharedState).set(progressText(progress), publishing);
    // Another program may have changed the timing meanwhile.
    if (isSet) this.#progress = mergeProgress(this.#progress as Progress, progress, Date.now());
    return isSet;
  }

  /** The broker is closed: nothing is held any more. */
  drop(): void {
    this.#isHeld = false;
  }

  async close(): Promise<void> {
    await this.#state?.close();
  }

  #merge(value: string, other: string): string {
    const known = [value, other].map(parseProgress).filter((progress) => progress !== undefined);
    const [one = this.#initial, two = one] = known;
    const merged = mergeProgress(one, two, Date.now());
    const replaced = [one, two].find((progress) => !isSameTiming(progress, merged));
    if (replaced !== undefined) this.#replacedTiming = timingText(replaced.timing);
    return progressText(merged);
  }

  #hold(value: string): void {
    const { observe, onHeld } = this.#callbacks;
    const schedule = this.#schedule.name;
    const progress = parseProgress(value) ?? this.#initial;
    this.#progress = progress;
    if (!this.#isHeld) observe({ type: 'held', schedule });
    this.#isHeld = true;
    const to = timingText(progress.timing);
    const from = this.#reportedTiming ?? this.#replacedTiming ?? to;
    this.#reportedTiming = to;
    if (from !== to) observe({ type: 'redefined', schedule, from, to });
    this.#timing = storedTiming(progress.timing, this.#schedule.timing);
    onHeld();
  }

  #lose(reason: Error): void {
    this.#isHeld = false;
    this.#callbacks.observe({ type: 'lost', schedule: this.#schedule.name, reason });
  }
}

function initialProgress({ timing }: Schedule): Progress {
  const now = Date.now();
  return { timing: timing.spec, chosenAt: now, since: now, tick: null, resets: 0 };
}
