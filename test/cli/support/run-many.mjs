// Runs many commands in one process, which costs a fraction of one process each. The commands are a JSON file; a line of
// its own, with the exit code, follows the output of each.
import { readFileSync } from 'node:fs';
import { run } from '../../../dist/cli/program.js';

const commands = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// Each command listens for errors of its output.
process.stdout.setMaxListeners(commands.length + 10);
for (const args of commands) {
  const exitCode = await run(args);
  process.stdout.write(`\n\u0000${exitCode}\n`);
}
process.exit();
