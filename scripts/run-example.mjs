/**
 * Runs one of the examples: `npm run example -- NAME [ARGUMENTS]`; NAME/PROGRAM runs another of its programs. Without a
 * name it lists them all. Builds what is not built yet.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const examples = new URL('examples/', root);
const compiler = fileURLToPath(new URL('node_modules/typescript/bin/tsc', root));

const names = readdirSync(examples, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);
const [wanted, ...rest] = process.argv.slice(2);

if (wanted === undefined) {
  console.log('npm run example -- NAME runs one of these:\n');
  for (const name of names) console.log(`  ${name.padEnd(18)} ${summaryOf(name)}`);
} else {
  const [name = '', program = 'main'] = wanted.split('/');
  const script = names.includes(name) ? scriptOf(name, program) : undefined;
  if (script === undefined) {
    console.error(`There is no example '${wanted}'. There are: ${names.join(', ')}.`);
    process.exit(2);
  }
  if (!existsSync(new URL('dist/index.js', root))) compile('tsconfig.json');
  if (script.source !== script.runs) compile('examples/tsconfig.json');
  // In this process, so that Ctrl+C and the exit code are the example's own.
  process.argv = [process.execPath, fileURLToPath(script.runs), ...rest];
  await import(script.runs.href);
}

/**
 * The first sentence under the title of the example's README.
 *
 * @param {string} name
 */
function summaryOf(name) {
  const readme = new URL(`${name}/README.md`, examples);
  return existsSync(readme) ? readFileSync(readme, 'utf8').split('\n')[2] : '';
}

/**
 * Where the program is, and what runs it: itself, or what the compiler makes of it.
 *
 * @param {string} name
 * @param {string} program
 * @returns {{ readonly source: URL, readonly runs: URL } | undefined}
 */
function scriptOf(name, program) {
  const plain = new URL(`${name}/${program}.mjs`, examples);
  if (existsSync(plain)) return { source: plain, runs: plain };
  const typed = new URL(`${name}/${program}.ts`, examples);
  if (existsSync(typed)) return { source: typed, runs: new URL(`dist/examples/${name}/${program}.js`, root) };
  return undefined;
}

/** @param {string} project the path of a tsconfig */
function compile(project) {
  const { status } = spawnSync(process.execPath, [compiler, '-p', fileURLToPath(new URL(project, root))], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
}
