import type { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { widthOf } from '../../../src/cli/layout.js';
import { createProgram } from '../../../src/cli/program.js';

const { columns } = process.stdout;
afterEach(() => {
  process.stdout.columns = columns;
});

/** All commands, with their groups. */
function commandsOf(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}

function helpOf(command: Command): string {
  const written: string[] = [];
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  command.outputHelp();
  write.mockRestore();
  return written.join('');
}

test.each([
  [40, 40],
  [80, 80],
  [200, 100],
])('help on a terminal of %i columns is wrapped between words, at %i', (terminal, widest) => {
  process.stdout.columns = terminal;
  const commands = commandsOf(createProgram(async () => {}));
  expect(commands.length).toBeGreaterThan(15);
  for (const command of commands) {
    const lines = helpOf(command).split('\n');
    expect(lines.filter((line) => widthOf(line) > widest)).toEqual([]);
  }
});

test('each command is described in one paragraph of the program’s help', () => {
  process.stdout.columns = 80;
  const help = helpOf(createProgram(async () => {}));
  expect(help).toMatch(/^ {2}send \[message\.\.\.\] {2,}Sends a message, or with --lines/m);
  expect(help).toMatch(/^ {2}dlq {2,}Lists, shows, replays/m);
});
