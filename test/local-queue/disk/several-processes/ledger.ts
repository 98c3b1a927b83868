import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { QueueError } from '../../../../src/errors.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { untilAsserted } from '../../../support/eventually.js';
import { Ledger } from '../../../support/ledger.js';
import { plainQueue } from '../folders.js';

export interface LedgerRun {
  readonly folder: string;
  readonly messages: number;
  /** At least so many processes die before their time. */
  readonly kills: number;
  /** A module in place of the store thread's own, that has its process die by itself. */
  readonly dyingThread?: URL;
  /** The senders'. */
  readonly durability?: 'flush' | 'commit';
  /** A command, with its arguments, that starts each process. */
  readonly launcher?: readonly string[];
  /** Versions of Node, taken in turn for each process. Default: this one. */
  readonly nodes?: readonly string[];
  /** How many senders, and how many workers, there are at a time. Default: 4. */
  readonly each?: number;
  /** The workers'. Milliseconds. */
  readonly leaseMs?: number;
  /** It goes on for at least so long. Milliseconds. */
  readonly durationMs?: number;
}

/** What a sender sends before it ends by itself, at least. */
const LEAST_SHARE = 500;

function script(name: string): string {
  return fileURLToPath(new URL(`../processes/${name}`, import.meta.url));
}

/**
 * Senders and workers on one folder, killed at random moments and started again, until all messages are
 * sent, enough have been killed and the queue is empty. Then the ledger are compared.
 */
export async function runLedger({
  folder,
  messages,
  kills,
  dyingThread,
  durability = 'flush',
  launcher = [],
  nodes = [process.execPath],
  each = 4,
  leaseMs = 30_000,
  durationMs = 0,
}: LedgerRun): Promise<void> {
  const ledgers = join(folder, 'ledgers');
  mkdirSync(ledgers, { recursive: true });
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('ledger', { deliveryLimit: 1000 }));

  const running = new Set<ChildProcess>();
  const ends = new Map<ChildProcess, Promise<unknown>>();
  const failures: string[] = [];
  let killed = 0;
  let started = 0;
  let incarnation = 0;
  let resolved = 0;
  onTestFinished(async () => {
    for (const child of running) child.kill('SIGKILL');
    await Promise.all(ends.values());
  });
  const until = performance.now() + durationMs;
  const enough = () => resolved >= messages && killed >= kills && performance.now() >= until;

  const start = (name: string, args: string[]): ChildProcess => {
    const node = nodes[started++ % nodes.length] as string;
    const [command, ...words] = [...launcher, node, script(name), ...args];
    const child = spawn(command as string, words, { stdio: ['pipe', 'ignore', 'pipe'] });
    child.stderr?.on('data', (data) => failures.push(String(data)));
    // It may die in the moment in which it is told to end.
    child.stdin?.on('error', () => {});
    running.add(child);
    ends.set(
      child,
      once(child, 'exit').then(([code, signal]) => {
        running.delete(child);
        if (signal === 'SIGKILL') killed++;
        else if (code !== 0) failures.push(`${name} ended with ${code ?? signal}`);
      }),
    );
    return child;
  };
  const thread = () => (dyingThread === undefined || killed >= kills ? '' : dyingThread.href);

  const keepSending = async (): Promise<void> => {
    while (!enough() && failures.length === 0) {
      const name = `s${++incarnation}`;
      const ledger = join(ledgers, `${name}.sent`);
      // No more than a share of what is missing, so that all are about done at the same time.
      const share = Math.max(Math.ceil((messages - resolved) / each), durationMs > 0 ? LEAST_SHARE : 50);
      const args = [folder, name, ledger, String(share), thread(), durability];
      await ends.get(start('ledger-sender.mjs', args));
      resolved += lines(ledger).filter((line) => line.startsWith('S')).length;
    }
  };
  const working = new Set<ChildProcess>();
  const keepWorking = async (): Promise<void> => {
    while (!enough() && failures.length === 0) {
      const worker = start('ledger-worker.mjs', [
        folder,
        join(ledgers, `w${++incarnation}.handled`),
        thread(),
        String(leaseMs),
      ]);
      working.add(worker);
      await ends.get(worker);
      working.delete(worker);
    }
  };
  const keepKilling = async (): Promise<void> => {
    while (!enough() && failures.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 250));
      const victims = [...running];
      const victim = victims[Math.floor(Math.random() * victims.length)];
      if (dyingThread === undefined && killed < kills) victim?.kill('SIGKILL');
    }
  };

  const workers = Array.from({ length: each }, keepWorking);
  await Promise.all([...Array.from({ length: each }, keepSending), keepKilling()]);
  // Whatever is left is handled by those that live now, and by one more.
  const last = start('ledger-worker.mjs', [folder, join(ledgers, 'last.handled'), '', String(leaseMs)]);
  await untilAsserted(
    async () => {
      expect(failures).toEqual([]);
      expect(readLedger(ledgers).missing).toEqual([]);
      expect((await broker.inspect('ledger')).ready).toBe(0);
    },
    { timeoutMs: 60_000 },
  );
  for (const worker of [...working, last]) worker.stdin?.write('end\n');
  await Promise.all([...workers, ends.get(last)]);
  await broker.close();
  expect(failures).toEqual([]);
  expect(killed).toBeGreaterThanOrEqual(kills);
  expect(readLedger(ledgers).breaches()).toEqual([]);
}

/** All that the processes have written down. What a sender had tried when it was killed may be there or not. */
function readLedger(ledgers: string): Ledger {
  const ledger = new Ledger();
  const files = readdirSync(ledgers);
  for (const file of files.filter((name) => name.endsWith('.sent'))) {
    const sender = file.slice(0, -'.sent'.length);
    const tried = new Set<string>();
    let intended = 0;
    for (const line of lines(join(ledgers, file))) {
      const [kind, number] = line.split(' ');
      if (kind === 'I') {
        for (; intended < Number(number); intended++) {
          const id = `${sender}/${intended}`;
          tried.add(id);
          ledger.beginSend(id);
        }
      } else {
        ledger.endSend(`${sender}/${number}`);
        tried.delete(`${sender}/${number}`);
      }
    }
    for (const id of tried) ledger.endSend(id, new QueueError('UNCONFIRMED', 'its sender was killed'));
  }
  for (const file of files.filter((name) => name.endsWith('.handled'))) {
    for (const line of lines(join(ledgers, file))) {
      const [, id = '', redelivered] = line.split(' ');
      ledger.handle({ id, attempt: 1, redelivered: redelivered === 'true', resent: false });
    }
  }
  return ledger;
}

/** Whole lines: the last one may have been cut off by a kill. */
function lines(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
}
