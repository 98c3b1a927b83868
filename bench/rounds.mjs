import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MEASURE = fileURLToPath(new URL('measure.mjs', import.meta.url));

/**
 * Has the subjects of a workload take turns, each in a process of its own that stays, or in a `fresh` one for each turn: in
 * each round every subject has one turn, in another order every time. So what else the machine does for some seconds
 * hits all of them. Adds to the `runs` of each; a subject that fails gets an `error` and no more runs. `goesOn` is asked
 * before each round.
 *
 * @param {import('./workload.js').Result[]} results
 * @param {{ rounds: number, limitMs: number, fresh?: boolean, goesOn: (round: number) => boolean }} limits
 * @param {(subject: string) => void} onRun
 */
export async function measureInRounds(results, { rounds, limitMs, fresh = false, goesOn }, onRun) {
  const processes = new Map();
  const start = async (result) => processes.set(result, await SubjectProcess.start(result, limitMs));
  const close = (result) => processes.get(result).close(limitMs);
  if (!fresh) for (const result of results) await attempt(result, () => start(result));
  for (let round = 0; round < rounds && goesOn(round); round++) {
    for (const result of shuffled(results)) {
      onRun(result.subject);
      await attempt(result, async () => {
        if (fresh) await start(result);
        result.runs.push(await processes.get(result).turn(limitMs));
        if (fresh) await close(result);
      });
    }
  }
  if (!fresh) for (const result of results) await attempt(result, () => close(result));
}

function shuffled(list) {
  const order = list.map((each) => ({ each, at: Math.random() }));
  return order.sort((one, other) => one.at - other.at).map(({ each }) => each);
}

/**
 * Measures all subjects once and at the same time, for what does not depend on how fast they are.
 *
 * @param {import('./workload.js').Result[]} results
 * @param {{ limitMs: number }} limits
 * @param {(subject: string) => void} onRun
 */
export async function measureSideBySide(results, { limitMs }, onRun) {
  const alone = { rounds: 1, limitMs, goesOn: () => true };
  await Promise.all(results.map((result) => measureInRounds([result], alone, onRun)));
}

/** Does nothing for a subject that has failed. */
async function attempt(result, work) {
  if (result.error !== undefined) return;
  try {
    await work();
  } catch (error) {
    result.error = error.message;
  }
}

const OVER_TIME = 'not done within';

/** Whether this is the error of a run that was ended at its time limit. */
export function isOverTime(error) {
  return error.startsWith(OVER_TIME);
}

/** Runs measure.mjs. What it is asked rejects with the last line that it wrote where it ends without an answer. */
class SubjectProcess {
  #child;
  #ended;

  /** Resolves when it can take its first turn. */
  static async start({ module, run, options }, limitMs) {
    const subject = new SubjectProcess(
      fork(MEASURE, [JSON.stringify({ module, run, options })], {
        execArgv: ['--expose-gc'],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      }),
    );
    await subject.#answer(limitMs);
    return subject;
  }

  constructor(child) {
    this.#child = child;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4000);
    });
    this.#ended = new Promise((_, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        reject(new Error(errorLine(said) ?? `ended with ${signal ?? `exit code ${code}`}`));
      });
    });
    this.#ended.catch(() => {});
  }

  turn(limitMs) {
    this.#child.send('turn');
    return this.#answer(limitMs);
  }

  close(limitMs) {
    this.#child.send('close');
    return this.#answer(limitMs);
  }

  async #answer(limitMs) {
    let timer;
    const answered = new Promise((resolve, reject) => {
      this.#child.once('message', resolve);
      timer = setTimeout(() => {
        this.#child.kill('SIGKILL');
        reject(new Error(`${OVER_TIME} ${limitMs / 1000} s`));
      }, limitMs);
    });
    try {
      return await Promise.race([answered, this.#ended]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function errorLine(said) {
  const lines = said.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /^(\w*Error|failed)\b/.test(line)) ?? lines.find((line) => /error|refus/i.test(line))
  );
}
