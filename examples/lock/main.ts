/** Buyers in separate processes and tickets in a file: without a lock they are sold twice, with one they are not. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startProgram } from '../start-program.ts';

const TICKETS = 10;
const BUYERS = 4;

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u' },
    prefix: { type: 'string', default: 'lock' },
  },
});
const folder = await mkdtemp(join(tmpdir(), 'lock-'));
const file = join(folder, 'tickets.txt');
const url = values.url ?? `local:${join(folder, 'queues')}`;

async function startBuyer(...args: string[]): Promise<ChildProcess> {
  const name = `${values.prefix}.box-office`;
  const buyer = startProgram(import.meta.url, './buyer', [
    '-u',
    url,
    '--name',
    name,
    '--file',
    file,
    ...args,
  ]);
  await once(buyer, 'message'); // it is ready
  return buyer;
}

async function answerOf(buyer: ChildProcess): Promise<unknown> {
  return (await once(buyer, 'message'))[0];
}

/** Runs all buyers at once. Returns how many tickets they bought. */
async function sale(...args: string[]): Promise<number> {
  await writeFile(file, String(TICKETS));
  const buyers = await Promise.all(Array.from({ length: BUYERS }, () => startBuyer(...args)));
  const answers = Promise.all(buyers.map(answerOf));
  for (const buyer of buyers) buyer.send('go');
  return (await answers).reduce<number>((sum, bought) => sum + Number(bought), 0);
}

console.log(`without a lock: ${TICKETS} tickets, ${await sale('--unlocked')} sold`);
console.log(`with the lock:  ${TICKETS} tickets, ${await sale()} sold`);

await writeFile(file, String(TICKETS));
const [holder, next] = await Promise.all([startBuyer('--hold'), startBuyer('--tries', '1')]);
const holding = answerOf(holder);
holder.send('go');
await holding; // it has the lock, and keeps it
const bought = answerOf(next);
next.send('go'); // it waits
holder.kill('SIGKILL'); // without a chance to release anything
console.log(`the holder was killed; the next one had the lock at once, and ${await bought} ticket`);

await rm(folder, { recursive: true, force: true });
