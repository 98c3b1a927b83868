import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../../support/command.js';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

const ROOT = new URL('../../../', import.meta.url);
const COMPILER = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT));
const OPTIONS =
  '--ignoreConfig --strict --module nodenext --target es2023 --types node --skipLibCheck --noEmit';

test('event-loop: each event comes to the handler of its type, an unknown one becomes a dead letter', async () => {
  const lines = await linesOf('event-loop');
  expect(lines.filter((line) => !/^(no handler|dead letter)/.test(line))).toEqual([
    'click at 3, 4',
    'key Enter',
    'timer tick after 20 ms',
  ]);
  expect(lines).toContain('no handler for scroll: invalid');
  expect(lines).toContain('dead letter scroll-1: invalid');
  await expectAsInReadme('event-loop', lines, { anyOrder: true });
  expect((await linesOf('event-loop', '-u', await diskAddress())).sort()).toEqual(lines.sort());
});

test('event-loop compiles; with a handler left out, or misspelt, it does not', async () => {
  const source = await readFile(new URL('examples/event-loop/main.ts', ROOT), 'utf8');
  const keyHandler = /^ {6}key: .*\n/m;
  expect(source).toMatch(keyHandler);

  const asItIs = await compile(source);
  expect(asItIs).toEqual({ exitCode: 0, errors: [] });
  const leftOut = await compile(source.replace(keyHandler, ''));
  expect(leftOut.exitCode).not.toBe(0);
  expect(leftOut.errors.join('\n')).toMatch(/key/);
  const misspelt = await compile(source.replace(/^ {6}key: /m, '      kye: '));
  expect(misspelt.exitCode).not.toBe(0);
  expect(misspelt.errors.join('\n')).toMatch(/kye/);
});

/** Inside the package, so that `import … from 'millrace'` finds it as it finds itself. */
async function compile(source: string) {
  const parent = fileURLToPath(new URL('dist/examples/', ROOT));
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(`${parent}event-loop-`);
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(`${folder}/main.ts`, source);
  const args = [COMPILER, ...OPTIONS.split(' '), `${folder}/main.ts`];
  const { exitCode, stdout } = await run(process.execPath, args, { timeoutMs: 20_000 });
  return { exitCode, errors: stdout.split('\n').filter((line) => line !== '') };
}
