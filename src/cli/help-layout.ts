/** How help is laid out, from 40 columns on. */
import type { Command, Help } from 'commander';
import { wrap } from './layout.js';

/** Longer lines are hard to read. */
const MAX_COLUMNS = 100;

/** Descriptions get a separate column if it is at least this wide. */
const MIN_DESCRIPTION = 30;

/** The columns for help: those of the terminal, within reason, or 80. */
export function helpColumns(): number {
  return Math.min(process.stdout.columns || 80, MAX_COLUMNS);
}

/** For `configureHelp` of commander. */
export const HELP_LAYOUT: Partial<Help> = {
  /** Without `[options]`, which all have, the descriptions of the commands have room. */
  subcommandTerm: (command: Command) =>
    [command.name(), ...command.registeredArguments.map((argument) => shown(argument))].join(' '),

  styleUsage: (usage: string) =>
    wrap(`Usage: ${usage}`, helpColumns() - 2)
      .slice('Usage: '.length)
      .replaceAll('\n', '\n  '),

  /** If the terms leave no room next to them, each description is below its term. */
  formatItem(term: string, termWidth: number, description: string): string {
    const left = helpColumns() - termWidth - 4;
    if (description === '') return `  ${term}`;
    const [head, width, indent] =
      left < MIN_DESCRIPTION
        ? [`  ${term}\n      `, helpColumns() - 6, 6]
        : [`  ${term.padEnd(termWidth)}  `, left, termWidth + 4];
    return head + wrap(description, width).replaceAll('\n', `\n${' '.repeat(indent)}`);
  },
};

function shown(argument: { readonly required: boolean; readonly variadic: boolean; name(): string }): string {
  const name = argument.name() + (argument.variadic ? '...' : '');
  return argument.required ? `<${name}>` : `[${name}]`;
}
