/**
 * `npm run test:ledger`: random operations under random faults.
 *
 *   --minutes 60                            fresh seeds for so long
 *   --subject 'quorum' --seed 7             one seed again
 *   --subject 'quorum' --operations '[…]'   one sequence again
 *   --findings FILE                         appends what fails to a file as well
 *
 * Further arguments are vitest's; without any of these, the fixed seeds of `npm test` run.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const names = ['minutes', 'subject', 'seed', 'operations', 'findings'];
const { values, tokens } = parseArgs({
  options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
  strict: false,
  tokens: true,
  allowPositionals: true,
});
const rest = tokens.flatMap((token) => {
  if (token.kind === 'positional') return [token.value];
  return token.kind === 'option' && !names.includes(token.name) ? [token.rawName] : [];
});
const settings = Object.entries(values)
  .filter(([name]) => names.includes(name))
  .map(([name, value]) => [`LEDGER_${name.toUpperCase()}`, String(value)]);
/** One file has the subjects that need no server, the other those that do. */
const isLocal = /^(memory|disk)\b/.test(String(values.subject));
const files = values.subject === undefined ? [] : [`random-ledger/${isLocal ? 'local' : 'rabbitmq'}.test.ts`];
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'ledger', ...files, ...rest], {
  stdio: 'inherit',
  env: { ...process.env, ...Object.fromEntries(settings) },
});
process.exitCode = status ?? 1;
