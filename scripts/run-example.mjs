/**
 * Runs one of the examples, as `npm run example -- NAME [ARGUMENTS]`; NAME/PROGRAM runs another of its programs.
 * Without a name it lists them all; `--build` only compiles them. Builds what is not built yet, and runs the TypeScript itself where Node can.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const examples = join(root, 'examples');
const built = join(root, 'dist/examples');
const compiler = join(root, 'node_modules/typescript/bin/tsc');
// Node 22 can, and warns each time.
const stripsTypes =
  'typescript' in process.features &&
  process.features.typescript === 'strip' &&
  !process.version.startsWith('v22.');

const names = readdirSync(examples, { withFileTypes: true })
  // A package of its own is run by its own command: `npm run test:frameworks`.
  .filter((entry) => entry.isDirectory() && !existsSync(join(examples, entry.name, 'package.json')))
  .map((entry) => entry.name);
const [wanted, ...rest] = process.argv.slice(2);

if (wanted === undefined) {
  console.log('npm run example -- NAME runs one of these:\n');
  for (const name of names) console.log(`  ${name.padEnd(18)} ${summaryOf(name)}`);
} else if (wanted === '--build') {
  buildExamples();
} else {
  const [name = '', program = 'main'] = wanted.split('/');
  const source = join(examples, name, `${program}.ts`);
  if (!names.includes(name) || !existsSync(source)) {
    console.error(`There is no example '${wanted}'. There are: ${names.join(', ')}.`);
    process.exit(2);
  }
  // Run by itself, a module that only exports would do nothing, and end as if all were well.
  if (/^export /m.test(readFileSync(source, 'utf8'))) {
    console.error(`'${wanted}' is a part of the example '${name}', not a program: run '${name}'.`);
    process.exit(2);
  }
  if (!existsSync(join(root, 'dist/index.js')) && !compile('-p', join(root, 'tsconfig.json')))
    process.exit(1);
  if (!stripsTypes) buildExamples();
  // In this process, so that Ctrl+C and the exit code are the example's own.
  const script = stripsTypes ? source : join(built, name, `${program}.js`);
  process.argv = [process.execPath, script, ...rest];
  try {
    await import(pathToFileURL(script).href);
  } catch (error) {
    // No broker there, or one that refuses: its message says it all.
    if (!(error instanceof Error) || error.name !== 'QueueError') throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/**
 * The first sentence under the title of the example's README.
 *
 * @param {string} name
 */
function summaryOf(name) {
  const readme = join(examples, name, 'README.md');
  return existsSync(readme) ? readFileSync(readme, 'utf8').split('\n')[2] : '';
}

/** Compiles the examples where one of them is newer than its output. */
function buildExamples() {
  /** @param {string} file */
  const isOld = (file) => {
    const output = join(built, file.replace(/\.ts$/, '.js'));
    return !existsSync(output) || statSync(output).mtimeMs < statSync(join(examples, file)).mtimeMs;
  };
  if (!filesOf(examples, '.ts').some(isOld)) return;
  // File by file into its place: others may be running the same examples.
  const fresh = mkdtempSync(join(root, 'dist/examples-'));
  let compiled = false;
  try {
    compiled = compile('-p', join(examples, 'tsconfig.json'), '--outDir', fresh);
    for (const file of compiled ? filesOf(fresh, '.js') : []) {
      mkdirSync(dirname(join(built, file)), { recursive: true });
      renameSync(join(fresh, file), join(built, file));
    }
  } finally {
    rmSync(fresh, { recursive: true });
  }
  if (!compiled) process.exit(1);
}

/**
 * The files of the examples in a folder.
 *
 * @param {string} folder
 * @param {string} ending
 */
function filesOf(folder, ending) {
  return names
    .filter((name) => existsSync(join(folder, name)))
    .flatMap((name) =>
      readdirSync(join(folder, name), { recursive: true, encoding: 'utf8' }).map((file) => join(name, file)),
    )
    .concat(readdirSync(folder))
    .filter((file) => file.endsWith(ending));
}

/** @param {string[]} args */
function compile(...args) {
  return spawnSync(process.execPath, [compiler, ...args], { stdio: 'inherit' }).status === 0;
}
