import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { QueueError, type QueueErrorCode } from '../../src/errors.js';
import type { Actor, ActorOrder, Report } from './actor.mjs';

const SCRIPT = fileURLToPath(new URL('./processes/actor.mjs', import.meta.url));

/** The commands of an actor; each may be given at any time. */
export type Acting = Pick<Actor, 'send' | 'start' | 'stop' | 'mend' | 'replay' | 'close'>;

type Answer = {
  readonly type: 'done';
  readonly number: number;
  readonly code?: QueueErrorCode;
  readonly message?: string;
};

/** An actor in a process of its own, on the built package. It is started when it is first told something. */
export class ProcessActor implements Acting {
  readonly #order: ActorOrder;
  readonly #report: (report: Report) => void;
  #process: RunningProcess | undefined;

  constructor(order: ActorOrder, report: (report: Report) => void) {
    this.#order = order;
    this.#report = report;
  }

  send = (options: Parameters<Actor['send']>[0]) => this.#tell('send', options);
  start = (options: Parameters<Actor['start']>[0]) => this.#tell('start', options);
  stop = (options: Parameters<Actor['stop']>[0]) => this.#tell('stop', options);
  mend = () => this.#tell('mend');
  replay = () => this.#tell('replay');

  /** Ends the process in good order. */
  async close(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    await running?.end();
  }

  /** SIGKILL. Resolves when all that it had said is reported. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    await running?.kill();
  }

  #tell(verb: keyof Acting, options?: object): Promise<void> {
    this.#process ??= new RunningProcess(this.#order, this.#report);
    return this.#process.tell(verb, options);
  }
}

class RunningProcess {
  readonly #child;
  readonly #closed: Promise<unknown>;
  readonly #waiting = new Map<number, { resolve(): void; reject(error: Error): void }>();
  #number = 0;
  #errors = '';

  constructor(order: ActorOrder, report: (report: Report) => void) {
    const child = spawn(process.execPath, [SCRIPT, JSON.stringify(order)], { stdio: 'pipe' });
    this.#child = child;
    child.stdin.on('error', () => {});
    child.stderr.on('data', (data) => {
      this.#errors += data;
    });
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      const said: Report | Answer = JSON.parse(line);
      if (said.type === 'done') this.#settle(said);
      else report(said);
    });
    this.#closed = Promise.all([once(child, 'close'), once(lines, 'close')]).then(([[code, signal]]) => {
      if (code !== 0 && signal !== 'SIGKILL') {
        report({ type: 'breach', text: `an actor's process ended with ${code ?? signal}: ${this.#errors}` });
      }
      const error = new QueueError('UNCONFIRMED', `the process has ended with ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(error);
    });
  }

  tell(verb: keyof Acting, options: object | undefined): Promise<void> {
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#child.stdin.write(`${JSON.stringify({ number, verb, options })}\n`);
    });
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    await this.#closed;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  #settle({ number, code, message }: Answer): void {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (code === undefined) waiting?.resolve();
    else waiting?.reject(new QueueError(code, message ?? ''));
  }
}
