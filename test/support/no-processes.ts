// Loaded before each file of the project `unit`.
import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';

function refuse(): never {
  throw new Error("a unit test starts no process: name its file '*.process.test.ts' (vitest.config.ts)");
}

for (const verb of ['spawn', 'fork', 'exec', 'execFile', 'spawnSync', 'execSync', 'execFileSync'] as const) {
  Object.assign(childProcess, { [verb]: refuse });
}
syncBuiltinESMExports();
