import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/disk-broker.js';
import { STORE_FILE } from '../../../src/local-queue/disk/store-files.js';
import { newFolder } from './folders.js';
import { runLedger } from './ledger.js';
import { holdTurnstile, knowsTurnstileLock, TurnstileLock } from './turnstile-lock.js';

const OPENERS = 3;
const LONGEST_PAUSE_MS = 10;
/** Another process may be able to. */
const TRY_AGAIN = 75;

function start(script: string, argument: string): ChildProcess {
  const path = fileURLToPath(new URL(`./processes/${script}`, import.meta.url));
  return spawn(process.execPath, [path, argument], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Until the test has finished. */
async function playLateOpener(folder: string): Promise<void> {
  await (await openDiskBroker(folder)).close();
  const opener = start('late-opener.mjs', folder);
  const ended = once(opener, 'exit');
  onTestFinished(async () => {
    expect(opener.exitCode).toBe(null);
    opener.kill('SIGKILL');
    await ended;
  });
}

/** Processes, one after the other, that open the store over and over, held up at random moments as by a busy machine. */
function keepOpening(folder: string): void {
  let isOver = false;
  let opener: ChildProcess | undefined;
  const open = async () => {
    while (!isOver) {
      opener = start('opener.mjs', join(folder, STORE_FILE));
      const [code] = await once(opener, 'exit');
      if (!isOver) expect(code).toBe(TRY_AGAIN);
    }
  };
  const holdUp = async () => {
    while (!isOver) {
      await delay(Math.random() * LONGEST_PAUSE_MS);
      opener?.kill('SIGSTOP');
      await delay(Math.random() * LONGEST_PAUSE_MS);
      opener?.kill('SIGCONT');
    }
  };
  const done = Promise.all([open(), holdUp()]);
  done.catch(() => {});
  onTestFinished(async () => {
    isOver = true;
    opener?.kill('SIGKILL');
    await done;
  });
}

// LMDB's error ITS#9496, which the turnstile keeps from doing harm.
test.each(['flush', 'commit'] as const)(
  "an opening that takes its time takes nothing back that others commit (durability '%s')",
  { timeout: 180_000 },
  async (durability) => {
    const folder = newFolder();
    await playLateOpener(folder);
    await runLedger({ folder, messages: 10_000, kills: 10, durability });
  },
);

test('processes that open the folder over and over harm nobody', { timeout: 180_000 }, async () => {
  const folder = newFolder();
  for (let count = 0; count < OPENERS; count++) keepOpening(folder);
  await runLedger({ folder, messages: 10_000, kills: 10 });
});

test.skipIf(!knowsTurnstileLock)(
  'the store is opened when its turn has come, and the death of who has it gives it away',
  async () => {
    const folder = newFolder();
    await (await openDiskBroker(folder)).close();
    const holder = await holdTurnstile(folder);
    let isOpen = false;
    const opened = openDiskBroker(folder).then((broker) => {
      isOpen = true;
      return broker;
    });
    await new TurnstileLock(folder).waitedFor();
    expect(isOpen).toBe(false);
    holder.kill('SIGKILL');
    await (await opened).close();
  },
);
