#!/usr/bin/env node
import { EXIT } from './exit-code.js';
import { flushed, writeUncaught, writeWarning } from './output.js';
import { run } from './program.js';

// A reader that is gone, as after `millrace --help | true`, is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// Node would print these as they are, and they may quote a message: a handler module is code of the user's. With
// NODE_NO_WARNINGS nobody listens.
if (process.listenerCount('warning') > 0) process.removeAllListeners('warning').on('warning', writeWarning);
process.on('uncaughtException', (error) => {
  writeUncaught(error);
  process.exit(EXIT.failed);
});

const exitCode = await run(process.argv.slice(2));
// What a handler module or standard input leaves open must not keep the process alive.
await flushed();
process.exit(exitCode);
