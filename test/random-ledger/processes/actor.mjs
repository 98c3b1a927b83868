// An actor that does what standard input says, a JSON line a command, and reports on standard output, a JSON line each.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import * as millrace from 'millrace';
import { Actor } from '../actor.mjs';

/** At once: it is on its way before a message is acknowledged, whatever kills the process then. */
const say = (event) => writeSync(1, `${JSON.stringify(event)}\n`);

const actor = new Actor(millrace, JSON.parse(process.argv[2]), say);
for await (const line of createInterface({ input: process.stdin })) {
  const { number, verb, options } = JSON.parse(line);
  Promise.resolve(actor[verb](options)).then(
    () => say({ type: 'done', number }),
    (error) => say({ type: 'done', number, code: error.code ?? 'none', message: String(error.stack) }),
  );
}
await actor.close();
