/**
 * One program that works with a queue: it sends, handles, replays and stops as it is told, and reports what became of
 * each message. The same in the process of the test (on the sources) and in one that is killed (on what is built).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

const grain = z.object({ id: z.string(), kind: z.string(), key: z.string() });

/** How long a send may take that is given no limit of its own. */
const SEND_LIMIT_MS = 8000;
const SLOW_MS = 60;

export class Actor {
  #millrace;
  #order;
  #report;
  #queue;
  /** Whether handlers fail no more. */
  #isMended = false;
  /** The broker and what belongs to it; undefined: closed, or not opened so far. */
  #session;
  #consumer;

  constructor(millrace, order, report) {
    this.#millrace = millrace;
    this.#order = order;
    this.#report = report;
    this.#queue = millrace.defineQueue(order.queue, grain, order.queueOptions);
  }

  /** Resolves when each of the messages has met its fate, which is reported. */
  async send({ messages, how, timeoutMs = SEND_LIMIT_MS, abortAfterMs }) {
    const abort = abortAfterMs === undefined ? undefined : new AbortController();
    const timer = setTimeout(() => abort?.abort(new Error('the ledger aborts it')), abortAfterMs ?? 0);
    const options = { timeoutMs, signal: abort?.signal };
    const fates = (error) => {
      for (const { id } of messages) this.#tellFate(id, error);
    };
    try {
      const session = await this.#open().catch(fates);
      if (session === undefined) return;
      if (how === 'sendMany') await this.#sendMany(session, messages, options);
      else await Promise.all(messages.map((message) => this.#sendOne(session, message, how, options)));
    } finally {
      clearTimeout(timer);
    }
  }

  async #sendOne({ producer, requester }, message, how, options) {
    try {
      if (how === 'request') {
        const reply = await requester.request(message, { ...options, id: message.id });
        if (reply !== message.id) this.#breach(`the request ${message.id} got the reply of ${reply}`);
      } else {
        const result = await producer[how](message, { ...options, id: message.id });
        if (result === undefined) throw new this.#millrace.QueueError('FULL', 'trySend found no room');
      }
      this.#tellFate(message.id);
    } catch (error) {
      // The handler has failed for good: the request was stored.
      this.#tellFate(message.id, error.code === 'REMOTE_ERROR' ? undefined : error);
    }
  }

  async #sendMany({ producer }, messages, options) {
    try {
      await producer.sendMany(messages, options);
      for (const { id } of messages) this.#tellFate(id);
    } catch (error) {
      const { taken, failed } = error.progress ?? { taken: 0, failed: [] };
      const errors = new Map(failed.map((failure) => [failure.position, failure.error]));
      const untouched = new this.#millrace.QueueError('ABORTED', 'sendMany had stopped before');
      for (const [position, { id }] of messages.entries()) {
        this.#tellFate(id, position < taken ? errors.get(position) : untouched);
      }
    }
  }

  /** Rejects where it can't begin now. */
  async start({ concurrency, keyed }) {
    if (this.#consumer !== undefined) return;
    const running = new Map();
    const handler = async (value, context) => {
      const { key } = value;
      const other = running.get(key);
      if (keyed && other !== undefined && !other.aborted && !context.signal.aborted) {
        this.#breach(`two messages of the key ${key} were handled at once`);
      }
      running.set(key, context.signal);
      try {
        return await this.#handle(value, context);
      } finally {
        if (running.get(key) === context.signal) running.delete(key);
      }
    };
    const { broker } = await this.#open();
    const consumer = this.#millrace.createConsumer(broker, this.#queue, handler, {
      concurrency,
      retry: { delaysMs: [0, 40] },
      ...(keyed ? { key: ({ key }) => key } : {}),
      observe: () => {},
    });
    this.#consumer = consumer;
    const forget = () => {
      if (this.#consumer === consumer) this.#consumer = undefined;
    };
    consumer.ended.then(forget, forget);
    await consumer.start({ timeoutMs: SEND_LIMIT_MS }).catch(async (error) => {
      forget();
      await consumer.stop();
      throw error;
    });
  }

  async #handle({ id, kind }, { attempt, redelivered, headers, signal }) {
    if (kind === 'slow') await delay(SLOW_MS, undefined, { signal });
    else await delay(Math.random() * 3);
    if (kind === 'flaky' && attempt === 1) throw new Error('its first attempt fails');
    if (!this.#isMended && kind === 'failing') throw new Error('each attempt fails');
    if (!this.#isMended && kind === 'rejected') throw new this.#millrace.RejectMessage('rejected');
    const resent = headers['x-millrace-resent'] !== undefined;
    this.#report({ type: 'handled', id, attempt, redelivered, resent });
    return id;
  }

  async stop({ deadlineMs }) {
    await this.#consumer?.stop({ deadlineMs });
    this.#consumer = undefined;
  }

  mend() {
    this.#isMended = true;
  }

  async replay() {
    const { broker } = await this.#open();
    await this.#millrace.deadLetters(broker, this.#queue).replay({ timeoutMs: SEND_LIMIT_MS });
  }

  async close() {
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    this.#consumer = undefined;
    await session?.requester.close();
    await session?.broker.close();
  }

  #open() {
    if (this.#session === undefined) {
      const opening = this.#connect();
      this.#session = opening;
      opening.catch(() => {
        if (this.#session === opening) this.#session = undefined;
      });
    }
    return this.#session;
  }

  async #connect() {
    const { connect, createProducer, createRequester } = this.#millrace;
    const broker = await connect(this.#order.address, this.#order.connectOptions);
    return {
      broker,
      producer: createProducer(broker, this.#queue),
      requester: createRequester(broker, this.#queue, { reply: z.string() }),
    };
  }

  #tellFate(id, error) {
    const message = error?.message ?? '';
    this.#report({
      type: 'fate',
      id,
      code: error === undefined ? undefined : (error.code ?? 'none'),
      message,
    });
  }

  #breach(text) {
    this.#report({ type: 'breach', text });
  }
}
