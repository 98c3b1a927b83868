import { readFile, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';

interface Differences {
  /** What differs from run to run. */
  readonly varies?: readonly RegExp[];
  /** Whether the lines come in another order each time. */
  readonly anyOrder?: boolean;
  /** As they stand in the command of the README. */
  readonly args?: readonly string[];
}

/**
 * Compares what an example printed with the block of its README that shows it, which begins with the command. With
 * UPDATE_EXAMPLES=1 in the environment the block is written instead.
 */
export async function expectAsInReadme(
  example: string,
  lines: readonly string[],
  { varies = [], anyOrder = false, args = [] }: Differences = {},
): Promise<void> {
  const [name = ''] = example.split('/');
  const readme = new URL(`../../../examples/${name}/README.md`, import.meta.url);
  const text = await readFile(readme, 'utf8');
  const command = ['$ npm run example --', example, ...args].join(' ');
  const begin = `\`\`\`text\n${command}\n`;
  const from = text.indexOf(begin) + begin.length;
  expect(text, `${example}/README.md shows what '${command}' prints`).toContain(begin);
  const to = text.indexOf('```', from);
  if (process.env.UPDATE_EXAMPLES === '1') {
    const output = lines.map((line) => `${line}\n`).join('');
    await writeFile(readme, text.slice(0, from) + output + text.slice(to));
    return;
  }
  const comparable = (line: string) => varies.reduce((rest, pattern) => rest.replace(pattern, '…'), line);
  const inOrder = (all: readonly string[]) => (anyOrder ? all.map(comparable).sort() : all.map(comparable));
  const shown = text.slice(from, to).split('\n').slice(0, -1);
  expect(inOrder(lines)).toEqual(inOrder(shown));
}
