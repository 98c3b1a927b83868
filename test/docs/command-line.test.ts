/** docs/command-line.md, which is written from the help of each command. `UPDATE_DOCS=1` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.js';

const file = new URL('../../docs/command-line.md', import.meta.url);

test('the page of the command line is what the help says', () => {
  const page = commandLinePage(createProgram(() => Promise.resolve()));
  if (process.env.UPDATE_DOCS !== undefined) writeFileSync(file, page);
  expect(readFileSync(file, 'utf8'), 'UPDATE_DOCS=1 npx vitest run test/docs/command-line.test.ts').toBe(
    page,
  );
});

function commandLinePage(program: Command): string {
  process.stdout.columns = 80;
  const sections = [...commandsOf(program)].map(([name, command]) => {
    const depth = '#'.repeat(Math.min(name.split(' ').length + 1, 4));
    return `${depth} ${name}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`;
  });
  const head =
    '# Command line\n\nThe help of `millrace` and of each command. In a checkout, run `node dist/cli/bin.js`.';
  return `${head}\n\n${sections.join('\n')}`;
}

function* commandsOf(command: Command, parent = ''): Iterable<[name: string, command: Command]> {
  const name = `${parent} ${command.name()}`.trim();
  yield [name, command];
  const children = command.createHelp().visibleCommands(command);
  for (const child of children) if (child.name() !== 'help') yield* commandsOf(child, name);
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trim();
}
