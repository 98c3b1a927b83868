/**
 * Does a sequence of operations, heals all faults, waits until nothing more can be expected, and compares the ledger:
 *   - every confirmed message was handled at least once, or is a dead letter that can be seen;
 *   - nothing was handled or died that nobody sent, nor that was said not to be stored;
 *   - what was handled twice was marked, and the messages of a key went one at a time;
 *   - every send, stop and close has settled;
 *   - memory stayed within 100 MB of its start.
 */
import { setTimeout as delay } from 'node:timers/promises';
import * as millrace from '../../src/index.js';
import { watchMemory } from '../faults/ledger/memory.js';
import { Ledger } from '../support/ledger.js';
import { Actor, type ActorOrder, type Grain, type Report } from './actor.mjs';
import type { Operation, SendOperation } from './operations.js';
import { type Acting, ProcessActor } from './process-actor.js';
import { isFault, type OpenSubject, type Subject } from './subject.js';

/** Nothing that is to come has come for so long: it never will. */
const STALL_MS = 30_000;
const POLL_MS = 100;
const MAX_GROWTH_BYTES = 100 * 1024 * 1024;
/** Without a consumer, what waits for room waits for its time limit. */
const LONGEST_WAIT_MS = 2000;
const KEYS = 5;
/** More than the handlers need; the end of a run makes sure that one runs. */
const LAST_START = { concurrency: 20, keyed: false };

/** Resolves with what is wrong; with nothing, where all agrees. */
export async function runOperations(subject: Subject, operations: readonly Operation[]): Promise<string[]> {
  const open = await subject.open();
  const run = new Run(subject, open);
  try {
    await run.run(operations);
  } finally {
    await run.close();
    await open.close();
  }
  return run.breaches;
}

class Run {
  readonly breaches: string[] = [];
  readonly #open: OpenSubject;
  readonly #ledger = new Ledger({
    alsoExpected: ['FULL', 'UNREACHABLE', 'ACCESS_REFUSED', 'QUEUE_MISSING', 'STORAGE_FULL'],
  });
  readonly #memory = watchMemory();
  readonly #actors: readonly (Acting & { kill?(): Promise<void> })[];
  readonly #kinds = new Map<string, SendOperation['kind']>();
  /** Ids that an actor was told to send and that have met no fate, by actor. */
  readonly #sending: readonly Set<string>[];
  /** What goes on meanwhile: sends, and faults that last. */
  readonly #meanwhile = new Set<Promise<unknown>>();
  #lastReport = performance.now();

  constructor(subject: Subject, open: OpenSubject) {
    this.#open = open;
    const order: ActorOrder = {
      address: open.address,
      connectOptions: open.connectOptions,
      queue: open.queue,
      queueOptions: subject.queueOptions,
    };
    this.#sending = subject.inProcesses.map(() => new Set());
    this.#actors = subject.inProcesses.map((inProcess, index) => {
      const report = (what: Report) => this.#take(what, index);
      if (inProcess) return new ProcessActor(order, report);
      return new Actor(open.isShared ? { ...millrace, connect: open.connect } : millrace, order, report);
    });
  }

  async run(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      trace(JSON.stringify(operation));
      await this.#do(operation);
    }
    await this.#drain();
    await this.#settles('a send or a fault', Promise.all(this.#meanwhile));
    const place = this.#ledger.ahead > 0 ? await this.#whereMessagesAre() : '';
    await this.close();
    const growth = this.#memory.growthBytes();
    if (growth > MAX_GROWTH_BYTES) this.#breach(`memory grew by ${Math.round(growth / 1e6)} MB`);
    this.breaches.push(...this.#ledger.breaches().map((breach) => breach + place));
  }

  /** Messages that were not handled are lost, or a consumer has stopped consuming: this tells which. */
  async #whereMessagesAre(): Promise<string> {
    const counts = await this.#withBroker((broker) => broker.inspect(this.#open.queue)).catch(String);
    return `; in the queue, before it was closed: ${JSON.stringify(counts)}`;
  }

  async close(): Promise<void> {
    this.#memory.stop();
    await Promise.all(this.#actors.map((actor) => this.#settles('close()', actor.close())));
  }

  async #do(operation: Operation): Promise<void> {
    if (isFault(operation)) return this.#strike(operation);
    if (operation.do === 'wait') return void (await delay(operation.ms));
    if (operation.do === 'confirmed') {
      await Promise.race([this.#until(() => this.#ledger.sending === 0), delay(LONGEST_WAIT_MS)]);
      return;
    }
    const actor = this.#actors[operation.actor];
    if (actor === undefined) throw new Error(`there is no actor ${operation.actor}`);
    switch (operation.do) {
      case 'send':
        return this.#send(operation, actor);
      case 'start':
        // While a fault lasts it may fail; the end of the run starts one in any case.
        return this.#goOn(actor.start(operation).catch(() => {}));
      case 'stop':
        return this.#settles('stop()', actor.stop(operation));
      case 'close':
        return this.#settles('close()', actor.close());
      case 'kill':
        if (actor.kill === undefined) return;
        await actor.kill();
        return this.#forgetSends(operation.actor);
      case 'replay':
        for (const each of this.#actors) await each.mend();
        return this.#goOn(actor.replay().catch(() => {}));
    }
  }

  #send({ first, count, kind, ...operation }: SendOperation, actor: Acting): void {
    const messages: Grain[] = Array.from({ length: count }, (_, index) => {
      const id = String(first + index);
      return { id, kind, key: String((first + index) % KEYS) };
    });
    for (const { id } of messages) {
      this.#ledger.beginSend(id);
      this.#kinds.set(id, kind);
      this.#sending[operation.actor]?.add(id);
    }
    const sent = actor.send({ ...operation, messages });
    // A process that was killed answers no more; what it had under way is noted where it is killed.
    this.#goOn(sent.catch(() => {}));
  }

  /** Begins it; what lasts is ended by itself. */
  async #strike(fault: Parameters<OpenSubject['begin']>[0]): Promise<void> {
    const { lost, end } = await this.#open.begin(fault);
    if (lost) this.#ledger.excuse();
    if (end !== undefined && 'ms' in fault) this.#goOn(delay(fault.ms).then(end));
  }

  #goOn(promise: Promise<unknown>): void {
    const settled = promise.finally(() => this.#meanwhile.delete(settled));
    this.#meanwhile.add(settled);
  }

  /** Handles what there is to handle, until all that is confirmed is accounted for or nothing moves any more. */
  async #drain(): Promise<void> {
    this.#lastReport = performance.now();
    while (performance.now() - this.#lastReport < STALL_MS) {
      const started = this.#actors.map((actor) => actor.start(LAST_START).catch(() => {}));
      await this.#settles('start()', Promise.all(started));
      await delay(POLL_MS);
      if (this.#meanwhile.size > 0 || this.#ledger.sending > 0) continue;
      await this.#buryDeadLetters().catch(() => {});
      if (this.#ledger.ahead === 0 && (await this.#isEmpty().catch(() => false))) break;
    }
    await this.#buryDeadLetters();
  }

  /** Unconfirmed messages and copies may be there besides what the ledger waits for. */
  async #isEmpty(): Promise<boolean> {
    return this.#withBroker(async (broker) => (await broker.inspect(this.#open.queue)).ready === 0);
  }

  async #buryDeadLetters(): Promise<void> {
    await this.#withBroker(async (broker) => {
      const { deadLetters: letters } = await millrace
        .deadLetters(broker, this.#open.queue)
        .list({ limit: 1_000_000, timeoutMs: 30_000 })
        .catch((error) => {
          if (millrace.isQueueError(error, 'QUEUE_MISSING')) return { deadLetters: [] };
          throw error;
        });
      for (const { message, reason } of letters) {
        const id = idOf(message);
        const kind = this.#kinds.get(id);
        if (this.#open.mayDieOf?.(reason)) continue;
        if (kind === 'plain' || kind === 'slow')
          this.#breach(`${id} is a dead letter (${reason}), and its handler never failed`);
      }
      this.#ledger.deadLettered(letters.map(({ message }) => idOf(message)));
    });
  }

  async #withBroker<T>(use: (broker: millrace.Broker) => Promise<T>): Promise<T> {
    const broker = await this.#open.connect();
    try {
      return await use(broker);
    } finally {
      await broker.close();
    }
  }

  #take(report: Report, actor: number): void {
    this.#lastReport = performance.now();
    if (report.type === 'breach') this.#breach(report.text);
    else if (report.type === 'handled') this.#noteHandled(report);
    else this.#noteFate(report, actor);
  }

  #noteHandled(report: Report & { type: 'handled' }): void {
    // A released message is redelivered without a mark.
    const mayBeReplayed = ['failing', 'rejected'].includes(this.#kinds.get(report.id) ?? '');
    this.#ledger.handle(mayBeReplayed ? { ...report, redelivered: true } : report);
  }

  #noteFate({ id, code, message }: Report & { type: 'fate' }, actor: number): void {
    if (!this.#sending[actor]?.delete(id)) this.#breach(`a send has settled twice: ${id}`);
    else if (code === undefined) this.#ledger.endSend(id);
    else this.#ledger.endSend(id, new millrace.QueueError(code as millrace.QueueErrorCode, message));
  }

  #forgetSends(actor: number): void {
    for (const id of this.#sending[actor] ?? []) {
      this.#ledger.endSend(id, new millrace.QueueError('UNCONFIRMED', 'its process was killed'));
    }
    this.#sending[actor]?.clear();
  }

  #until(condition: () => boolean): Promise<void> {
    return this.#ledger.until(condition, NEVER);
  }

  /** Waits for it as long as it may take on the slowest machine. */
  async #settles(what: string, promise: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    const late = delay(STALL_MS, 'late', { signal: over.signal }).catch(() => {});
    if ((await Promise.race([promise, late])) === 'late') this.#breach(`${what} has not settled`);
    over.abort();
  }

  #breach(text: string): void {
    trace(text);
    if (!this.breaches.includes(text)) this.breaches.push(text);
  }
}

/** With LEDGER_TRACE set, what happens is told while it does. */
function trace(text: string): void {
  if (process.env.LEDGER_TRACE) process.stderr.write(`${performance.now().toFixed(0)} ${text}\n`);
}

function idOf({ body }: millrace.Message): string {
  const text = typeof body === 'string' ? body : Buffer.from(body).toString();
  return (JSON.parse(text) as Grain).id;
}

const NEVER = new AbortController().signal;
