import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Example, linesOf } from './support/run-example.js';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
const entries = await readdir(folder, { withFileTypes: true });
/** A package of its own has its own command: `npm run test:frameworks`. */
const isExample = (name: string) => !existsSync(`${folder}${name}/package.json`);
const names = entries.filter((entry) => entry.isDirectory() && isExample(entry.name)).map(({ name }) => name);

test('without a name, all examples are listed with a description', async () => {
  const lines = await linesOf();
  for (const name of names) {
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ {2}${name} +\\w.*\\.$`)));
  }
});

test('each example has its page, which says how to run it, a line in the table, and its test', async () => {
  const table = await readFile(`${folder}README.md`, 'utf8');
  const tests = await readdir(new URL('.', import.meta.url), { recursive: true });
  for (const name of names) {
    expect(await readFile(`${folder}${name}/README.md`, 'utf8')).toContain(`npm run example -- ${name}`);
    expect(table).toContain(`[${name}](${name}/README.md)`);
    expect(tests.filter((file) => basename(file).startsWith(`${name}.`))).not.toEqual([]);
  }
});

test.each(['helo', 'hello/sent', '../test'])(
  '%s is no example: usage error, with the names',
  async (name) => {
    const example = new Example(name);
    expect(await example.exit()).toBe(2);
    expect(example.stderr).toMatch(new RegExp(`'${name}'.*There are: .*hello`));
  },
);

test.each(['lock', 'pool', 'processes', 'tickets', 'waiting'])(
  '%s on an address that its processes can’t share: usage error, with a line that says so',
  async (name) => {
    const example = new Example(name, '-u', 'local:');
    expect(await example.exit()).toBe(2);
    expect(example.stderr).toMatch(/^'local:' is a queue within one process: .*\n$/);
  },
);

test('a broker that is not there: the example says that it waits, and ends with one line', async () => {
  const example = new Example('hello', '-u', 'amqp://127.0.0.1:1');
  expect(await example.exit()).toBe(1);
  expect(example.stderr).toMatch(/MILLRACE_WAITING.*127\.0\.0\.1:1/);
  expect(example.stderr).toMatch(
    /^no broker found within 10000 ms, in \d+ attempts: amqp:\/\/127\.0\.0\.1:1: .*\n$/m,
  );
});
