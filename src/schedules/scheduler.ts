import type { Backend, Broker, Publishing, WaitOptions } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { type Around, aroundSendOption, type SendContext } from '../common/hooks/around.js';
import {
  checkOptionNames,
  checkSignal,
  checkWaitOptions,
  durationOption,
  invalidOption,
  observerOption,
  quote,
} from '../common/options.js';
import { anyOf, limitsLeft, pause } from '../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../errors.js';
import { type ScheduleEvent, scheduleObserver } from './event-report.js';
import { parseProgress, reachedBy } from './progress.js';
import { RunningSchedule, type RunningScheduleOptions, tickFunctions } from './running-schedule.js';
import { checkScheduleName, type Schedule } from './schedule.js';
import { stateName } from './schedule-claim.js';
import { makeTick, sendTick } from './send-tick.js';
import type { ScheduleTarget } from './target.js';
import { storedTiming, timingText } from './timing.js';

/** Options of `createScheduler`. All have defaults. */
export interface SchedulerOptions {
  /**
   * Functions around the sending of each message, as those of a producer: they may add headers. If one throws before it
   * calls `next`, or does not call it within 30 seconds, the tick is not sent: it is retried. If one throws after the
   * message was sent, that is the event `around-failed`, and no retry. See {@link Around}.
   */
  readonly around?: readonly Around<SendContext>[] | undefined;
  /**
   * Receives the events. Without it, and without a `logger` in `connect`, a tick that can't be sent, and a function
   * that throws after it was sent, cause a process warning, each once for each schedule.
   */
  readonly observe?: ((event: ScheduleEvent) => void) | undefined;
}

/** How long the broker may still count a scheduler that has stopped. */
const JUST_STOPPED_MS = 2_000;

/** The defaults of `send`. */
const RUN_NOW_LIMITS = { timeoutMs: 30_000 };

const OPTION_NAMES: readonly (keyof SchedulerOptions)[] = ['around', 'observe'];

/** The known state of a schedule on a broker. */
export interface ScheduleInfo {
  /** The name of the schedule. */
  readonly name: string;
  /** The queue that its messages go to; undefined if it publishes events. */
  readonly queue: string | undefined;
  /** The topic and the event that it publishes; undefined if it sends to a queue. */
  readonly event: { readonly topic: string; readonly name: string } | undefined;
  /** When its ticks are, as text: of the definition in force, if that can be known, else of the one given here. */
  readonly timing: string;
  /** The next tick; undefined if there is none. */
  readonly next: Date | undefined;
  /** The last tick that was sent or skipped; undefined if there is none, or if only the holder knows it (RabbitMQ). */
  readonly last: Date | undefined;
  /** Whether a scheduler has it now; undefined on local brokers, where any number of them do. */
  readonly isHeld: boolean | undefined;
}

/** Runs schedules. Created by {@link createScheduler}. */
export interface Scheduler extends AsyncDisposable {
  /**
   * Declares the queues and starts sending. Keeps the process alive until `stop`. A scheduler can be started once.
   * Rejects as declaring does, `TIMEOUT` after `timeoutMs` (default 30,000), `ABORTED`, and `CLOSED` if it was started
   * or stopped before.
   */
  start(options?: WaitOptions): Promise<void>;
  /** Stops sending; another program takes over. Waits for sends in progress, during an outage for 2 seconds. Always resolves. */
  stop(): Promise<void>;
  /** `stop()`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Sends the message of a schedule now, in addition to its ticks, whether the scheduler was started or not. Resolves
   * to the id of the message. Rejects with `INVALID_OPTION` for an unknown name, and as `send` does, with
   * `TIMEOUT` after 30 seconds.
   */
  runNow(name: string): Promise<{ readonly id: string }>;
  /** The known state of each schedule. Rejects as `inspect` does. */
  list(options?: WaitOptions): Promise<readonly ScheduleInfo[]>;
}

/**
 * A scheduler. Any number of programs may run the same schedules: each tick is sent by one of them.
 *
 * ```ts
 * await using scheduler = createScheduler(broker, [nightly]);
 * await scheduler.start();
 * ```
 *
 * Throws `INVALID_OPTION`, also for two schedules of one name.
 */
export function createScheduler(
  broker: Broker,
  schedules: readonly Schedule[],
  options?: SchedulerOptions,
): Scheduler {
  checkOptionNames('createScheduler', options, OPTION_NAMES);
  const around = aroundSendOption(options?.around);
  const observe = scheduleObserver(broker, observerOption(options?.observe));
  checkSchedules(schedules);
  return new ScheduleRunner(backendOf(broker), [...schedules], { around, observe });
}

/**
 * Forgets the progress of a schedule, so that it starts anew: for one that was removed from the code, or whose missed
 * ticks should not be caught up. Stop its schedulers first: one that continues sends ticks since its start again, under
 * the same ids. Resolves to whether anything was known. Rejects with `INVALID_OPTION` if the broker knows that a
 * scheduler has it (RabbitMQ), and as `remove` does.
 */
export async function forgetSchedule(
  broker: Broker,
  name: string,
  options: WaitOptions = {},
): Promise<boolean> {
  checkWaitOptions(options);
  const since = performance.now();
  const backend = backendOf(broker);
  const state = stateName(checkScheduleName(name));
  if (!(await isStopped(backend, state, options, since))) {
    throw new QueueError(
      'INVALID_OPTION',
      `a scheduler is running the schedule ${quote(name)}: stop it first`,
    );
  }
  return backend.removeState(state, limitsLeft(options, since));
}

/** Whether no scheduler has the state. RabbitMQ counts the consumer of one that has just stopped for a moment. */
async function isStopped(
  backend: Backend,
  state: string,
  options: WaitOptions,
  since: number,
): Promise<boolean> {
  const limitMs = Math.min(JUST_STOPPED_MS, options.timeoutMs ?? Number.POSITIVE_INFINITY);
  for (let wasHeld = false; ; wasHeld = true) {
    try {
      const { isHeld } = await backend.viewState(state, limitsLeft(options, since));
      if (isHeld !== true) return true;
    } catch (error) {
      if (wasHeld && isQueueError(error, 'TIMEOUT')) return false;
      throw error;
    }
    const leftMs = limitMs - (performance.now() - since);
    if (leftMs <= 0) return false;
    await pause(Math.min(50, leftMs), options.signal, { keepAlive: true });
  }
}

class ScheduleRunner implements Scheduler {
  readonly #broker: Backend;
  readonly #schedules: readonly Schedule[];
  readonly #running: readonly RunningSchedule[];
  readonly #stopped = new AbortController();
  readonly #options: Omit<RunningScheduleOptions, 'schedule'>;
  #starting: Promise<unknown> | undefined;

  constructor(
    broker: Backend,
    schedules: readonly Schedule[],
    options: Omit<RunningScheduleOptions, 'schedule'>,
  ) {
    this.#broker = broker;
    this.#schedules = schedules;
    this.#options = options;
    this.#running = schedules.map((schedule) => new RunningSchedule(broker, { schedule, ...options }));
  }

  async start(options: WaitOptions = {}): Promise<void> {
    checkOptionNames('start', options, ['signal', 'timeoutMs']);
    checkSignal(options.signal);
    const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
    if (this.#stopped.signal.aborted) throw new QueueError('CLOSED', 'the scheduler was stopped');
    if (this.#starting !== undefined) throw new QueueError('CLOSED', 'the scheduler was started before');
    const signals = options.signal === undefined ? [] : [options.signal];
    const limit = anyOf([this.#stopped.signal, ...signals]);
    const starting = Promise.all(
      this.#running.map((schedule) => schedule.start({ signal: limit.signal, timeoutMs })),
    );
    this.#starting = starting;
    try {
      await starting;
    } catch (error) {
      const wasStopped = this.#stopped.signal.aborted;
      await this.stop();
      throw wasStopped ? new QueueError('CLOSED', 'the scheduler was stopped', { cause: error }) : error;
    } finally {
      limit.release();
    }
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled([this.#starting]);
    await Promise.all(this.#running.map((schedule) => schedule.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async runNow(name: string): Promise<{ readonly id: string }> {
    const schedule = this.#schedules.find((one) => one.name === name);
    if (schedule === undefined) {
      const names = this.#schedules.map((one) => quote(one.name)).join(', ');
      throw new QueueError('INVALID_OPTION', `there is no schedule ${quote(name)}; there are ${names}`);
    }
    const message = await makeTick(schedule, undefined, this.#broker.maxMessageBytes);
    const { target } = schedule;
    const since = performance.now();
    await target.declare(this.#broker, RUN_NOW_LIMITS);
    const functions = tickFunctions({ schedule, ...this.#options });
    await sendTick(this.#broker, functions, { target, message }, undefined, async (publishing) => {
      await this.#publish(target, publishing, since);
      return true;
    });
    return { id: message.id };
  }

  /** Declares the target again if somebody has removed it since it was last declared. */
  async #publish(
    target: ScheduleTarget,
    { to, message, mandatory }: Publishing,
    since: number,
  ): Promise<void> {
    const publish = () =>
      this.#broker.publish(to, message, { ...limitsLeft(RUN_NOW_LIMITS, since), mandatory });
    try {
      await publish();
    } catch (error) {
      if (!isQueueError(error, 'UNROUTABLE')) throw error;
      await target.declare(this.#broker, limitsLeft(RUN_NOW_LIMITS, since));
      await publish();
    }
  }

  list(options?: WaitOptions): Promise<readonly ScheduleInfo[]> {
    return Promise.all(this.#schedules.map((schedule) => this.#info(schedule, options)));
  }

  async #info({ name, target, timing }: Schedule, wait: WaitOptions | undefined): Promise<ScheduleInfo> {
    const own = this.#running.find((running) => running.name === name)?.progress;
    const { values, isHeld } = await this.#broker.viewState(stateName(name), wait);
    const [stored] = values.map(parseProgress).filter((progress) => progress !== undefined);
    const known = own ?? stored;
    const inForce = known === undefined ? timing : storedTiming(known.timing, timing);
    const now = Date.now();
    // Ticks that are due and not sent are the next.
    const from = known === undefined ? now : Math.min(now, Math.max(reachedBy(known), now - 60_000));
    const next = inForce.next(from);
    return {
      name,
      queue: target.kind === 'queue' ? target.name : undefined,
      event: target.kind === 'queue' ? undefined : { topic: target.name, name: target.to.routingKey },
      timing: timingText(inForce.spec),
      next: next === undefined ? undefined : new Date(next),
      last: known?.tick == null ? undefined : new Date(known.tick),
      isHeld,
    };
  }
}

function checkSchedules(schedules: readonly Schedule[]): void {
  const expected = 'a list of schedules made by defineSchedule';
  if (!Array.isArray(schedules)) throw invalidOption('schedules', expected, schedules);
  const names = new Set<string>();
  for (const schedule of schedules) {
    const isSchedule = typeof schedule === 'object' && schedule !== null && 'timing' in schedule;
    if (!isSchedule) throw invalidOption('schedules', expected, schedule);
    if (names.has(schedule.name))
      throw invalidOption('schedules', 'one schedule of each name', `${schedule.name}, ${schedule.name}`);
    names.add(schedule.name);
  }
}
