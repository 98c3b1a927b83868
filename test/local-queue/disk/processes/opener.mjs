// Opens the store and closes it again, over and over. Ends with 75 where
// only another process can go on. Usage: FILE
import { closeTables, openTables } from '../../../../dist/local-queue/disk/tables.js';
import { isWithoutLocks } from '../../../../dist/local-queue/disk/turnstile.js';

while (true) {
  try {
    await closeTables(openTables(process.argv[2]));
  } catch (error) {
    if (!isWithoutLocks(error)) throw error;
    process.exit(75);
  }
}
