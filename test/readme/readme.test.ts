import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amqpUrl } from '../support/broker.js';

const ROOT = new URL('../../', import.meta.url);
/** Inside the package, so that `import … from 'millrace'` finds it as it finds itself. */
const BLOCKS = new URL('test/readme/.blocks/', ROOT);
const execute = promisify(execFile);

let readme = '';
let blocks: readonly string[] = [];

beforeAll(async () => {
  readme = await readFile(new URL('README.md', ROOT), 'utf8');
  blocks = [...readme.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1] ?? '');
  await mkdir(BLOCKS, { recursive: true });
  const files = blocks.map((_, index) => fileURLToPath(new URL(`block-${index + 1}.ts`, BLOCKS)));
  await Promise.all(files.map((file, index) => writeFile(file, blocks[index] ?? '')));
  const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT));
  const options =
    '--ignoreConfig --strict --module nodenext --target es2023 --types node --skipLibCheck --noEmitOnError';
  await execute(process.execPath, [tsc, ...options.split(' '), ...files]);
});

afterAll(() => rm(BLOCKS, { recursive: true, force: true }));

async function run(block: number): Promise<string> {
  const script = fileURLToPath(new URL(`block-${block}.js`, BLOCKS));
  const env = { ...process.env, AMQP_URL: amqpUrl() };
  const { stdout } = await execute(process.execPath, [script], { env, timeout: 20_000 });
  return stdout;
}

test('the typed example compiles, runs and prints what it says', async () => {
  expect(await run(1)).toBe('order A-1: 12.5 (attempt 1)\n');
});

test('the example on RabbitMQ compiles and is confirmed by the broker', async () => {
  expect(await run(2)).toMatch(/^stored as [0-9a-f-]{36}\n$/);
});

test('the example of the in-process queue compiles and runs', async () => {
  expect(await run(3)).toBe('grain\n');
});

test('no code block goes untested', () => {
  expect(blocks).toHaveLength(3);
});
