import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { DiskBrokerOptions } from '../../../../src/local-queue/disk/broker-options.js';

export interface ActorEvent {
  readonly event: 'done' | 'failed' | 'delivery' | 'lost' | 'ended';
  readonly command?: string;
  readonly value?: unknown;
  readonly code?: string;
  readonly message?: string;
  readonly id?: string;
  readonly attempt?: number;
  readonly redelivered?: boolean;
}

/** A process of its own that has a folder open, or will: processes/actor.mjs. Killed when the test has finished. */
export class Actor {
  readonly process: ChildProcess;
  /** What is known of its end: the exit code or the signal. */
  readonly ended: Promise<unknown>;
  readonly #events: ActorEvent[] = [];
  readonly #waiting: (() => void)[] = [];
  #stderr = '';

  /** `launcher`: a command, with its arguments, that starts the process. */
  constructor(folder: string, options: DiskBrokerOptions = {}, launcher: readonly string[] = []) {
    const script = fileURLToPath(new URL('../processes/actor.mjs', import.meta.url));
    const [command, ...args] = [...launcher, process.execPath, script, folder, JSON.stringify(options)];
    this.process = spawn(command as string, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.ended = once(this.process, 'exit').then(([code, signal]) => {
      this.#wake();
      return signal ?? code;
    });
    this.process.stderr?.on('data', (data) => {
      this.#stderr += data;
    });
    if (this.process.stdout !== null) {
      createInterface({ input: this.process.stdout }).on('line', (line) => {
        this.#events.push(JSON.parse(line));
        this.#wake();
      });
    }
    onTestFinished(async () => {
      this.process.kill('SIGKILL');
      await this.ended;
    });
  }

  /** One that has the folder open. */
  static async open(folder: string, options?: DiskBrokerOptions): Promise<Actor> {
    const actor = new Actor(folder, options);
    await actor.tell('open');
    return actor;
  }

  /** Gives a command and waits for what comes of it. */
  async tell(command: string, parameters: object = {}): Promise<unknown> {
    this.begin(command, parameters);
    return this.outcome(command);
  }

  /** Gives a command. */
  begin(command: string, parameters: object = {}): void {
    this.process.stdin?.write(`${JSON.stringify({ command, ...parameters })}\n`);
  }

  /** What came of a command. Rejects with what it rejected with. */
  async outcome(command: string): Promise<unknown> {
    const event = await this.#next((one) => one.command === command);
    if (event.event === 'failed') throw Object.assign(new Error(event.message), { code: event.code });
    return event.value;
  }

  /** The next delivery. */
  delivery(): Promise<ActorEvent> {
    return this.#next((one) => one.event === 'delivery');
  }

  /** The next delivery that it is told to have lost. */
  loss(): Promise<ActorEvent> {
    return this.#next((one) => one.event === 'lost');
  }

  /** How a subscription of it ended that can't go on. */
  ending(): Promise<ActorEvent> {
    return this.#next((one) => one.event === 'ended');
  }

  /** Ends what it reads its commands from: all that keeps it alive now is its broker. */
  hangUp(): void {
    this.process.stdin?.end();
  }

  async #next(wanted: (event: ActorEvent) => boolean): Promise<ActorEvent> {
    while (true) {
      const index = this.#events.findIndex(wanted);
      if (index !== -1) return this.#events.splice(index, 1)[0] as ActorEvent;
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`the process has ended: ${this.#stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
