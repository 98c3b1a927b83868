import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { Message } from '../broker.js';
import { errorText } from '../common/options.js';
import { abortedError, onAbort } from '../common/waiting/waiting.js';
import { isQueueError, QueueError, type SendManyProgress } from '../errors.js';
import {
  type EachValue,
  ProgressReports,
  type SendManyCounts,
  Skipped,
  type SkippedValues,
} from './each-value.js';
import { SendWindow } from './send-window.js';
import { type Step, ValueSource, type Values } from './value-source.js';

/** The result of `sendMany`. */
export interface SendManyResult {
  /** How many values are stored: all values of the iterable except skipped ones. */
  readonly stored: number;
  /** Set with `onInvalid: 'skip'`. */
  readonly skipped?: SkippedValues;
}

/** The two steps of sending one value. */
export interface ValueSender<T> {
  /** Throws or rejects with `INVALID_MESSAGE`. A promise only if the schema is asynchronous. */
  make(value: T, index: number): Message | Promise<Message>;
  /** Resolves when the message is stored, to whether any queue took it. */
  store(message: Message): Promise<boolean>;
}

interface BulkRules<T> extends Pick<EachValue<T>, 'skipsInvalid' | 'onProgress'> {
  /** The method that was called, for errors: `sendMany` or `publishMany`. */
  readonly method: string;
  /** Called with each message that is stored: whether any queue took it. */
  readonly onStored?: ((isRouted: boolean) => void) | undefined;
}

/** A synchronous iterable gives the event loop a turn after this time. */
const TURN_AFTER_MS = 20;

/** The clock is read after each message of at least `LARGE_BYTES`, and after `CLOCK_EVERY` smaller ones. */
const LARGE_BYTES = 16 * 1024;
const CLOCK_EVERY = 32;

/**
 * Sends each value of an iterable, in order, with as many in flight as the window allows. `signal` ends the sends; the
 * window passes it on as `stopSends`.
 *
 *   taking ──(end of the values)──► settling ──► resolved
 *      └──(a send fails, the iterable throws, the signal is aborted)──► settling ──► rejected, with progress
 */
export function sendAll<T>(
  values: Values<T>,
  sender: (sends: AbortSignal | undefined) => ValueSender<T>,
  signal: AbortSignal | undefined,
  rules: BulkRules<T>,
): Promise<SendManyResult> {
  return new BulkSend(values, sender, signal, rules).run();
}

class BulkSend<T> {
  readonly #method: string;
  readonly #values: ValueSource<T>;
  readonly #sender: ValueSender<T>;
  readonly #signal: AbortSignal | undefined;
  /** Ends the sends in flight. */
  readonly #sends: AbortController | undefined;
  readonly #failed: { position: number; error: QueueError }[] = [];
  readonly #skipped: Skipped | undefined;
  readonly #progress: ProgressReports | undefined;
  readonly #onStored: BulkRules<T>['onStored'];
  readonly #window = new SendWindow();
  #taken = 0;
  /** The last value that is being validated: those after it are stored after it. */
  #lastMade: Promise<unknown> | undefined;
  /** The reason why no further value is taken. */
  #stop: QueueError | undefined;
  #turnAt = performance.now();

  constructor(
    values: Values<T>,
    sender: (sends: AbortSignal | undefined) => ValueSender<T>,
    signal: AbortSignal | undefined,
    { method, skipsInvalid, onProgress, onStored }: BulkRules<T>,
  ) {
    this.#method = method;
    this.#skipped = skipsInvalid ? new Skipped() : undefined;
    this.#progress = onProgress && new ProgressReports(onProgress, () => this.#counts);
    this.#onStored = onStored;
    this.#values = new ValueSource(values, method);
    this.#signal = signal;
    this.#sends = signal === undefined ? undefined : new AbortController();
    this.#sender = sender(this.#sends?.signal);
  }

  async run(): Promise<SendManyResult> {
    const signal = this.#signal;
    const abort = () => {
      if (signal !== undefined) this.#stopWith(abortedError(this.#method, signal));
      this.#sends?.abort(signal?.reason);
    };
    if (signal?.aborted) abort();
    const unlisten = signal && onAbort(signal, abort);
    try {
      await this.#sendValues();
      if (this.#stop !== undefined) this.#values.release();
      await this.#window.until(() => this.#window.isEmpty);
    } finally {
      unlisten?.();
    }
    this.#progress?.report();
    const { taken, stored } = this.#counts;
    if (this.#stop === undefined) {
      return this.#skipped === undefined ? { stored } : { stored, skipped: this.#skipped.values };
    }
    this.#failed.sort((a, b) => a.position - b.position);
    const skipped = this.#skipped?.count;
    throw withProgress(this.#method, this.#stop, {
      taken,
      stored,
      failed: this.#failed,
      ...(skipped !== undefined && { skipped }),
    });
  }

  get #counts(): SendManyCounts {
    const skipped = this.#skipped?.count ?? 0;
    const stored = this.#taken - this.#window.messages - this.#failed.length - skipped;
    return { taken: this.#taken, stored, skipped };
  }

  async #sendValues(): Promise<void> {
    while (this.#stop === undefined) {
      let step = this.#values.next();
      if (step instanceof Promise) {
        const settled = await this.#unlessStopped(step);
        if (settled === undefined) return;
        step = settled;
      }
      if (step.type === 'end') return;
      if (step.type === 'error') return this.#stopWith(iterableFailed(this.#method, step.error));
      const bytes = this.#start(step.value);
      if (this.#window.isFull)
        await this.#window.until(() => this.#window.hasRoom || this.#stop !== undefined);
      if (bytes >= LARGE_BYTES || this.#taken % CLOCK_EVERY === 0) await this.#letOthersRun();
    }
  }

  /** The next step of the iterable, or undefined if the sending stops first. */
  async #unlessStopped(next: Promise<Step<T>>): Promise<Step<T> | undefined> {
    let step: Step<T> | undefined;
    next.then((settled) => {
      step = settled;
      this.#window.wake();
    });
    await this.#window.until(() => step !== undefined || this.#stop !== undefined);
    return step;
  }

  /** Returns the size of the message in bytes, 0 if it is not known yet. */
  #start(value: T): number {
    const position = this.#taken++;
    this.#window.enter();
    try {
      const making = this.#sender.make(value, position);
      if (making instanceof Promise || this.#lastMade !== undefined) {
        this.#storeInTurn(position, making);
        return 0;
      }
      return this.#store(position, making);
    } catch (error) {
      this.#onFailed(position, error);
      this.#onSettled(0);
      return 0;
    }
  }

  #store(position: number, message: Message): number {
    const bytes = message.body.length;
    this.#window.fill(bytes);
    const onFailed = (error: unknown) => {
      this.#onFailed(position, error);
      this.#onSettled(bytes);
    };
    try {
      this.#sender.store(message).then((isRouted) => {
        this.#onStored?.(isRouted);
        this.#onSettled(bytes);
      }, onFailed);
    } catch (error) {
      onFailed(error);
    }
    return bytes;
  }

  /** Values are validated concurrently, and stored in order. */
  #storeInTurn(position: number, making: Message | Promise<Message>): void {
    this.#window.beginValidation();
    const made = this.#storeMade(position, making, this.#lastMade);
    this.#lastMade = made;
    made.then(() => {
      if (this.#lastMade === made) this.#lastMade = undefined;
    });
  }

  /** Resolves when the message is in flight, or has failed. */
  async #storeMade(
    position: number,
    making: Message | Promise<Message>,
    before: Promise<unknown> | undefined,
  ): Promise<void> {
    try {
      const [message] = await Promise.all([making, before]);
      this.#window.endValidation();
      this.#store(position, message);
      this.#window.wake();
    } catch (error) {
      await before;
      this.#window.endValidation();
      this.#onFailed(position, error);
      this.#onSettled(0);
    }
  }

  #onFailed(position: number, reason: unknown): void {
    const error = asQueueError(reason);
    if (this.#skipped?.add(position, error)) return;
    this.#failed.push({ position, error });
    this.#stopWith(error);
  }

  #onSettled(bytes: number): void {
    this.#window.leave(bytes);
    this.#progress?.step();
    this.#window.wake();
  }

  #stopWith(error: QueueError): void {
    this.#stop ??= error;
    this.#window.wake();
  }

  /** Timers, sockets and signals would starve while values and confirms arrive without a pause. */
  async #letOthersRun(): Promise<void> {
    if (performance.now() - this.#turnAt < TURN_AFTER_MS) return;
    await eventLoopTurn();
    this.#turnAt = performance.now();
  }
}

function iterableFailed(method: string, cause: unknown): QueueError {
  return new QueueError('ABORTED', `${method}: the iterable threw: ${errorText(cause)}`, { cause });
}

function asQueueError(error: unknown): QueueError {
  if (isQueueError(error)) return error;
  return new QueueError('BROKER_ERROR', `sending failed: ${errorText(error)}`, { cause: error });
}

function withProgress(method: string, error: QueueError, progress: SendManyProgress): QueueError {
  const { taken, stored } = progress;
  return new QueueError(
    error.code,
    `${method} stopped with ${stored} of the ${taken} values taken stored: ${error.message}`,
    { cause: error.cause ?? error, progress },
  );
}
