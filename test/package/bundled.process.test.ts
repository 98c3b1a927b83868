/** What docs/guides/bundling.md says, tried with a bundler. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { rolldown } from 'rolldown';
import { afterAll, expect, test } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
// Within the package, which then finds itself by its name, but not in `dist`, which others pack at the same time.
const folder = mkdtempSync(join(root, 'test/package/.bundled-'));
const queues = mkdtempSync(join(tmpdir(), 'millrace-bundled-'));
afterAll(() => {
  for (const path of [folder, queues]) rmSync(path, { recursive: true, maxRetries: 3 });
});

const PROGRAM = `
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
try {
  const broker = await connect(process.argv[2]);
  const queue = defineQueue('bundled', anything);
  const consumer = createConsumer(broker, queue, (value) => console.log('handled', value));
  await consumer.start();
  await createProducer(broker, queue).send('x');
  while (consumer.counts.handled === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await consumer.stop();
  await broker.close();
} catch (error) {
  console.log(error.code, error.message);
}
`;

async function bundle(name: string, external: string[]): Promise<string> {
  const input = join(folder, 'main.mjs');
  writeFileSync(input, PROGRAM);
  const build = await rolldown({ input, platform: 'node', external, logLevel: 'silent' });
  await build.write({ dir: join(folder, name), format: 'esm', entryFileNames: 'main.mjs' });
  await build.close();
  return join(folder, name, 'main.mjs');
}

const printed = async (file: string, address: string) =>
  (await run(process.execPath, [file, address])).stdout;

test('a program whose bundle leaves millrace external works in memory and on a folder', async () => {
  const file = await bundle('external', ['millrace']);
  expect(await printed(file, 'local:')).toBe('handled x\n');
  expect(await printed(file, `local:${join(queues, 'external')}`)).toBe('handled x\n');
});

test('bundled with millrace, it works in memory, and on a folder says what is missing', async () => {
  const file = await bundle('inside', []);
  expect(await printed(file, 'local:')).toBe('handled x\n');
  expect(await printed(file, `local:${join(queues, 'inside')}`)).toMatch(
    /^STORAGE_ERROR .*a part of millrace is missing.*bundlers have to leave the package external/,
  );
});
