#!/usr/bin/env node
import { flushed } from './output.js';
import { run } from './program.js';

// Whoever reads may have gone, as after `millrace --help | true`: that is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const exitCode = await run(process.argv.slice(2));
// What a handler module or a standard input leaves open must not hold the process that has done its work.
await flushed();
process.exit(exitCode);
