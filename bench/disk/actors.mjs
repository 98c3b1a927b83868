import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ACTOR = fileURLToPath(new URL('actor.mjs', import.meta.url));

/** A process beside this one; see actor.mjs. */
export class Actor {
  #child;
  #failed;

  /** Resolves when it is ready to begin. */
  static async start(options) {
    const actor = new Actor(options);
    await actor.#message((message) => message === 'ready');
    return actor;
  }

  constructor(options) {
    this.#child = fork(ACTOR, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#failed = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`failed: the process of a ${options.role} ended with exit code ${code}`);
    });
    this.#failed.catch(() => {});
  }

  /** Calls back for each message that is not the final report. */
  onNews(listener) {
    this.#child.on('message', (message) => {
      if (message?.report === undefined) listener(message);
    });
  }

  tell(word) {
    this.#child.send(word);
  }

  async news() {
    return this.#message((message) => message?.report === undefined);
  }

  /** The final report, after which the process ends. */
  async report() {
    const { report } = await this.#message((message) => message?.report !== undefined);
    this.#child.send('end');
    await once(this.#child, 'exit');
    return report;
  }

  async #message(isWanted) {
    for (;;) {
      const [message] = await Promise.race([once(this.#child, 'message'), this.#failed]);
      if (isWanted(message)) return message;
    }
  }
}
