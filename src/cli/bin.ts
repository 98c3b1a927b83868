#!/usr/bin/env node
import { flushed } from './output.js';
import { run } from './program.js';

const exitCode = await run(process.argv.slice(2));
// What a handler module or a standard input leaves open must not hold the process that has done its work.
await flushed();
process.exit(exitCode);
