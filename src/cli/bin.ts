#!/usr/bin/env node
import { EXIT } from './exit-code.js';
import { flushed, writeUncaught, writeWarning } from './output.js';
import { run } from './program.js';

// A closed pipe, as in `millrace --help | true`, must not print a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// Node would print warnings and uncaught errors unescaped, and they may quote a message, since a handler module is the
// user's code. With NODE_NO_WARNINGS there is no listener.
if (process.listenerCount('warning') > 0) process.removeAllListeners('warning').on('warning', writeWarning);
process.on('uncaughtException', (error) => {
  writeUncaught(error);
  process.exit(EXIT.failed);
});

const exitCode = await run(process.argv.slice(2));
// Handles that a handler module or standard input leaves open must not keep the process alive.
await flushed();
process.exit(exitCode);
