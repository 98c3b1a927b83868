/** The number of tickets is stored in a file. To sell one, read the file, charge a card, and write what is left. */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export async function sellOne(file: string): Promise<boolean> {
  const left = Number(await readFile(file, 'utf8'));
  await delay(30); // the card is charged; meanwhile others read the file, too
  if (left === 0) return false;
  await writeFile(file, String(left - 1));
  return true;
}
