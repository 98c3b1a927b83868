// Holds the turnstile until it is killed. Says on standard output that it does. Usage: FOLDER
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { TURNSTILE_FILE } from '../../../../dist/local-queue/disk/store-files.js';
import { Turnstile } from '../../../../dist/local-queue/disk/turnstile.js';

new Turnstile(join(process.argv[2], TURNSTILE_FILE)).pass(() => {
  writeSync(1, 'held\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
