import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { Handling } from '../../support/ledger.js';
import type { LedgerPlan } from './ledger.js';

const SCRIPT = fileURLToPath(new URL('./ledger-worker.mjs', import.meta.url));
const LIMIT_MS = 60_000;

/** A consumer of the ledger in a process of its own. */
export interface LedgerWorker {
  readonly process: ChildProcess;
  /** Handlers that have begun and not ended, as far as it has told. */
  readonly busy: number;
  /** Resolves when handlers are in their middle. */
  midway(): Promise<void>;
  /** Kills it (SIGKILL), and resolves when it is gone and all that it had told is in the ledger. */
  kill(): Promise<void>;
  /** Stops it in good order, if it is alive. Rejects where it ended otherwise than it should. */
  stop(): Promise<void>;
  /** The same by a signal (SIGTERM), as an operator does it. Resolves when all that it had told is in the ledger. */
  terminate(): Promise<void>;
}

/** Resolves when it consumes. */
export async function startWorker(
  plan: LedgerPlan,
  onHandled: (handling: Handling) => void,
  output: string[],
): Promise<LedgerWorker> {
  const { address, queue, handlerMs = 2, concurrency = 10, prefetch = 2 * concurrency } = plan;
  const type = plan.backend === 'classic' ? 'classic' : 'quorum';
  const order = {
    address,
    queue,
    type,
    handlerMs,
    concurrency,
    prefetch,
    connectOptions: plan.connectOptions,
  };
  const child = spawn(process.execPath, [SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  child.stdin.on('error', () => {});
  child.stdin.write(`${JSON.stringify(order)}\n`);
  const errors: string[] = [];
  child.stderr.on('data', (data) => {
    errors.push(String(data));
    output.push(String(data));
  });

  let busy = 0;
  let lastSaid = 'nothing';
  let isStopping = false;
  const waiting = new Map<string, () => void>();
  const tell = (what: string) => {
    waiting.get(what)?.();
    waiting.delete(what);
  };
  const lines = createInterface({ input: child.stdout });
  const read = once(lines, 'close');
  lines.on('line', (line) => {
    output.push(line);
    lastSaid = line;
    const [verb, id = '', attempt, redelivered, resent] = line.split(' ');
    if (verb === 'ready') tell('ready');
    if (verb === 'begin') {
      busy++;
      tell('busy');
    }
    if (verb === 'end') {
      busy--;
      onHandled({
        id,
        attempt: Number(attempt),
        redelivered: redelivered === 'true',
        resent: resent === 'true',
      });
    }
  });
  const until = (what: string) =>
    new Promise<void>((resolve, reject) => {
      const fail = (why: string) =>
        reject(new Error(`the worker is not ${what}: ${why}; ${errors.join('')}`));
      const timer = setTimeout(() => fail(`not within ${LIMIT_MS} ms`), LIMIT_MS);
      waiting.set(what, () => {
        clearTimeout(timer);
        resolve();
      });
      void closed.then(([code, signal]) => fail(`ended with ${code ?? signal}`));
    });

  const end = async (tellIt: () => void) => {
    if (child.exitCode !== null || child.signalCode !== null || isStopping) return;
    isStopping = true;
    tellIt();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, LIMIT_MS);
    const [[code, signal]] = await Promise.all([closed, read]);
    clearTimeout(timer);
    if (code === 0) return;
    const how = isLate ? `did not end within ${LIMIT_MS} ms` : `ended with ${code ?? signal}`;
    throw new Error(`a worker that was stopped ${how}; its last word: '${lastSaid}'; ${errors.join('')}`);
  };

  await until('ready');
  return {
    process: child,
    get busy() {
      return busy;
    },
    midway: async () => {
      if (busy === 0) await until('busy');
    },
    kill: async () => {
      child.kill('SIGKILL');
      await Promise.all([closed, read]);
    },
    stop: () => end(() => child.stdin.write('stop\n')),
    terminate: () => end(() => child.kill('SIGTERM')),
  };
}
