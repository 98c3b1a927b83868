// An actor that does what standard input says, a JSON line a command, and reports on standard output, a JSON line each.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as millrace from 'millrace';
import { Actor } from '../actor.mjs';

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** At once: it is on its way before a message is acknowledged, whatever kills the process then. */
function say(event) {
  let rest = Buffer.from(`${JSON.stringify(event)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      // The reader is behind.
      Atomics.wait(sleeper, 0, 0, 1);
    }
  }
}

const actor = new Actor(millrace, JSON.parse(process.argv[2]), say);
for await (const line of createInterface({ input: process.stdin })) {
  const { number, verb, options } = JSON.parse(line);
  Promise.resolve(actor[verb](options)).then(
    () => say({ type: 'done', number }),
    (error) => say({ type: 'done', number, code: error.code ?? 'none', message: String(error.stack) }),
  );
}
await actor.close();
