import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { checkFolder } from '../../../../src/local-queue/disk/folder.js';
import { Database } from '../../../../src/local-queue/disk/store/database.js';
import { ExitGuard } from '../../../../src/local-queue/disk/store/sqlite.js';
import { WriteLock } from '../../../../src/local-queue/disk/store/write-lock.js';
import { newFolder } from '../folders.js';
import { runLedger } from './ledger.js';

const OPENERS = 3;
const LONGEST_PAUSE_MS = 10;

/** A process that opens the store over and over, held up at random moments as by a busy machine. */
function keepOpening(folder: string): void {
  const script = fileURLToPath(new URL('../processes/opener.mjs', import.meta.url));
  const opener: ChildProcess = spawn(process.execPath, [script, folder], { stdio: 'inherit' });
  let isOver = false;
  const ended = once(opener, 'exit').then(() => expect(isOver).toBe(true));
  const holdUp = async () => {
    while (!isOver) {
      await delay(Math.random() * LONGEST_PAUSE_MS);
      opener.kill('SIGSTOP');
      await delay(Math.random() * LONGEST_PAUSE_MS);
      opener.kill('SIGCONT');
    }
  };
  const done = Promise.all([ended, holdUp()]);
  done.catch(() => {});
  onTestFinished(async () => {
    isOver = true;
    opener.kill('SIGKILL');
    await done;
  });
}

test.each(['flush', 'commit'] as const)(
  "processes that open the folder over and over harm nobody (durability '%s')",
  { timeout: 180_000 },
  async (durability) => {
    const folder = newFolder();
    for (let count = 0; count < OPENERS; count++) keepOpening(folder);
    await runLedger({ folder, messages: 5000, kills: 10, durability });
  },
);

test('a folder can be used while the last process that has it open closes it', {
  timeout: 180_000,
}, async () => {
  const folder = newFolder();
  const script = fileURLToPath(new URL('../processes/opener.mjs', import.meta.url));
  const opener = spawn(process.execPath, [script, folder], { stdio: 'inherit' });
  onTestFinished(() => void opener.kill('SIGKILL'));
  let openings = 0;
  let wasOpen = false;
  while (openings < 30) {
    await Promise.all(Array.from({ length: 8 }, () => checkFolder(folder)));
    const isOpen = existsSync(join(folder, 'queue.db-shm'));
    if (isOpen && !wasOpen) openings++;
    wasOpen = isOpen;
  }
});

/** Does something else just before its `moment`-th step in SQLite. */
class InterruptedLock extends WriteLock {
  #stepsBefore: number;
  readonly #interruption: () => void;

  constructor(moment: number, interruption: () => void) {
    super(new ExitGuard());
    this.#stepsBefore = moment;
    this.#interruption = interruption;
  }

  override alone<T>(work: () => T): T {
    if (--this.#stepsBefore === 0) this.#interruption();
    return super.alone(work);
  }
}

/** Does not wait where the lock is taken. */
class ImpatientLock extends WriteLock {
  constructor() {
    super(new ExitGuard());
  }

  override retry(work: () => void): number {
    work();
    return 0;
  }
}

test('a new folder is opened while another process makes its tables, whenever that is', () => {
  let openings = 0;
  for (let moment = 1; openings === moment - 1; moment++) {
    const folder = newFolder();
    let other: Database | undefined;
    const interruption = () => {
      openings++;
      try {
        other = new Database(folder, new ImpatientLock());
      } catch (error) {
        // It would wait for its turn.
        expect(error).toMatchObject({ message: 'database is locked' });
      }
    };
    const database = new Database(folder, new InterruptedLock(moment, interruption));
    expect(database.prepare('SELECT count(*) FROM queues').number()).toBe(0);
    database.close();
    other?.close();
  }
  expect(openings).toBeGreaterThan(5);
});
