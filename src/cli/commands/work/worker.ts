import { setTimeout as delay, setInterval } from 'node:timers/promises';
import type { Broker } from '../../../broker.js';
import { count } from '../../../common/reporting/count.js';
import { type EventLine, showDuration } from '../../../common/reporting/event-line.js';
import { Deferred } from '../../../common/waiting/waiting.js';
import type { Consumer, ConsumerEvent } from '../../../consumer/consumer.js';
import { consumerEventLine } from '../../../consumer/event-line.js';
import { isQueueError } from '../../../errors.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import { exitCodeOfSignal, insists, onStopSignal, type StopSignal } from '../../stop-signal.js';
import { countsLine, Tally } from './outcome.js';

export interface WorkerOptions {
  readonly queue: string;
  /** Take exactly this many messages. */
  readonly count: number | undefined;
  /** Stop when the queue is empty. */
  readonly drain: boolean;
  readonly shutdownTimeoutMs: number;
  /** How often to log the counts, if they have changed. */
  readonly reportIntervalMs: number;
  /** Called when the consumer has started. */
  readonly announce: () => void;
  /** Called after the start, and whenever nothing was taken for the time of a report. */
  readonly onIdle: () => void;
}

/** How long the consumer may take to return unfinished messages before the connection is closed anyway. */
const RETURN_MS = 1000;

/** After HUP or QUIT the terminal or session is gone, or the user wants the command to end soon. */
const HURRIED_SHUTDOWN_MS = 5000;

/**
 * Runs a consumer until its job is done, a signal stops it, or it can't continue.
 *
 *   starting ─► running ─(--count taken, --drain and empty)─► finishing ─(handlers done)─► ended
 *      │           ├─(a signal)─────► finishing until the deadline ─(handlers done)────────▲
 *      │           │                     └─(deadline, another signal)─► returning ─────────┤
 *      │           └─(standard output is closed)───────────────────────────▲               │
 *      └─(a signal)────────────────────────────────────────────────────────────────────────┘
 */
export class Worker {
  readonly #broker: Broker;
  readonly #output: Output;
  readonly #options: WorkerOptions;
  readonly #tally = new Tally();
  /** Messages that arrive before `start` has resolved wait for it: only then can the consumer finish them and stop. */
  readonly #started = new Deferred();
  readonly #forced = new Deferred();
  #consumer: Consumer | undefined;
  #taken = 0;
  #inFlight = 0;
  #signal: StopSignal | undefined;
  /** The exit code, once unfinished messages are returned to the queue. */
  #forcedExit: ExitCode | undefined;

  constructor(broker: Broker, output: Output, options: WorkerOptions) {
    this.#broker = broker;
    this.#output = output;
    this.#options = options;
  }

  /** Wraps the handling of each message. */
  async handle(job: () => unknown): Promise<void> {
    this.#inFlight++;
    this.#taken++;
    // Before the consumer starts another message, so that further ones stay in the queue.
    this.#stopAtCount();
    try {
      await this.#started.promise;
      await job();
    } finally {
      this.#inFlight--;
    }
  }

  /** The observer of the consumer. */
  observe(event: ConsumerEvent): void {
    if (this.#forcedExit !== undefined) return;
    if (this.#isLimited) this.#tally.add(event);
    // The command itself fails with it.
    const line = event.type === 'ended' ? undefined : consumerEventLine(event);
    if (line !== undefined) this.#output.log(line);
  }

  async run(consumer: Consumer): Promise<ExitCode> {
    const over = new AbortController();
    const signals = onStopSignal((signal) => this.#onSignal(consumer, signal, over.signal));
    try {
      if (!(await this.#start(consumer))) return EXIT.ok;
      void this.#reportUntil(over.signal, consumer);
      await Promise.race([this.#ended(consumer, over.signal), this.#forced.promise]);
      return await this.#exitCode(consumer);
    } finally {
      if (this.#consumer !== undefined) this.#report('summary', consumer);
      over.abort();
      signals.dispose();
    }
  }

  /** False if a signal came first. */
  async #start(consumer: Consumer): Promise<boolean> {
    try {
      await consumer.start();
    } catch (error) {
      if (this.#signal !== undefined && isQueueError(error, 'CLOSED')) return false;
      throw error;
    }
    this.#consumer = consumer;
    this.#output.closed.then(() => this.#returnUnfinished(consumer, EXIT.ok));
    this.#stopAtCount();
    this.#options.announce();
    this.#options.onIdle();
    this.#started.resolve();
    return true;
  }

  async #reportUntil(over: AbortSignal, consumer: Consumer): Promise<void> {
    let handedOut = 0;
    const { reportIntervalMs } = this.#options;
    try {
      for await (const _ of setInterval(reportIntervalMs, undefined, { signal: over, ref: false })) {
        if (handedOut !== this.#taken) this.#report('counts', consumer);
        else this.#options.onIdle();
        handedOut = this.#taken;
      }
    } catch (error) {
      if (!over.aborted) throw error;
    }
  }

  #report(event: 'counts' | 'summary', consumer: Consumer): void {
    const counts = { ...consumer.counts, ...this.#broker.counts };
    this.#output.log(countsLine(event, this.#options.queue, counts));
  }

  #stopAtCount(): void {
    if (this.#taken === this.#options.count) this.#consumer?.stop({ deadlineMs: Number.POSITIVE_INFINITY });
  }

  /** Rejects if the consumer can't continue, after its last handlers have finished. */
  async #ended(consumer: Consumer, signal: AbortSignal): Promise<void> {
    try {
      if (this.#options.drain) {
        const activity = () => ({ taken: this.#taken, inFlight: this.#inFlight });
        await Promise.race([untilIdle(this.#broker, this.#options.queue, activity, signal), consumer.ended]);
        await consumer.stop({ deadlineMs: Number.POSITIVE_INFINITY });
      }
      await consumer.ended;
    } catch (error) {
      await consumer.stop();
      throw error;
    }
  }

  #onSignal(consumer: Consumer, signal: StopSignal, over: AbortSignal): void {
    const force = () => {
      if (this.#forcedExit !== undefined) return;
      this.#output.log(returnedLine(this.#inFlight));
      this.#returnUnfinished(consumer, exitCodeOfSignal(signal));
    };
    if (this.#signal !== undefined && insists(signal)) {
      force();
      return;
    }
    const isHurried = signal === 'SIGHUP' || signal === 'SIGQUIT';
    const deadlineMs = Math.min(
      this.#options.shutdownTimeoutMs,
      isHurried ? HURRIED_SHUTDOWN_MS : Number.POSITIVE_INFINITY,
    );
    if (this.#signal === undefined) {
      this.#output.log(stoppingLine(signal, this.#inFlight, deadlineMs));
      consumer.stop({ deadlineMs });
    }
    this.#signal ??= signal;
    delay(deadlineMs, undefined, { signal: over }).then(force, () => {});
  }

  #returnUnfinished(consumer: Consumer, exitCode: ExitCode): void {
    this.#forcedExit ??= exitCode;
    consumer.stop({ deadlineMs: 0 });
    this.#forced.resolve();
  }

  async #exitCode(consumer: Consumer): Promise<ExitCode> {
    if (this.#forcedExit !== undefined) {
      await Promise.race([consumer.stop(), delay(RETURN_MS)]);
      return this.#forcedExit;
    }
    const { unfinished } = await consumer.stop();
    if (this.#signal === undefined) return this.#isLimited ? this.#tally.exitCode : EXIT.ok;
    if (unfinished === 0) return EXIT.ok;
    this.#output.log(returnedLine(unfinished));
    return exitCodeOfSignal(this.#signal);
  }

  get #isLimited(): boolean {
    return this.#options.drain || this.#options.count !== undefined;
  }
}

/** How often `--drain` checks whether the queue is empty. */
const IDLE_INTERVAL_MS = 100;

/**
 * A message in transit is counted neither by the broker nor here, so the queue counts as empty only after several
 * checks in a row.
 */
const IDLE_CHECKS = 3;

/** Resolves when the queue is empty, nothing is in flight, and no message has arrived for several checks. */
async function untilIdle(
  broker: Broker,
  queue: string,
  activity: () => { readonly taken: number; readonly inFlight: number },
  signal: AbortSignal,
): Promise<void> {
  let taken = -1;
  for (let idle = 0; idle < IDLE_CHECKS; ) {
    await delay(IDLE_INTERVAL_MS, undefined, { signal });
    const { ready } = await broker.inspect(queue, { signal });
    const now = activity();
    idle = ready === 0 && now.inFlight === 0 && now.taken === taken ? idle + 1 : 0;
    taken = now.taken;
  }
}

function stoppingLine(signal: StopSignal, inFlight: number, shutdownTimeoutMs: number): EventLine {
  const text =
    inFlight === 0
      ? `${signal}: stopping`
      : `${signal}: finishing ${count(inFlight, 'message')} in flight, for at most ${showDuration(shutdownTimeoutMs)}; press CTRL+C again to return unfinished messages to the queue`;
  return { event: 'stopping', level: 'info', text, fields: { signal, inFlight, shutdownTimeoutMs } };
}

function returnedLine(unfinished: number): EventLine {
  const text = `returned ${count(unfinished, 'message')} unfinished to the queue`;
  return { event: 'gave-back', level: 'warn', text, fields: { unfinished } };
}
