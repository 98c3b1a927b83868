import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { Example, linesOf } from './run-example.js';

test('without a name, all examples are listed, each with what it is about', async () => {
  const folders = (await readdir('examples', { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const lines = await linesOf();
  for (const { name } of folders) {
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ {2}${name} +\\w.*\\.$`)));
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
