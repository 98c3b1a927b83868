/** Makes the man page, dist/man/millrace.1, of the help of the built command line. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
/** @param {string} path */
const load = (path) => import(new URL(path, root).href);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
/** @type {{ createProgram: (execute: () => Promise<void>) => import('commander').Command }} */
const { createProgram } = await load('dist/cli/program.js');

// The width of the terminal, or of its absence, must not show: groff fills the lines.
process.stdout.columns = 80;

/** @param {string} text */
function roff(text) {
  const escaped = text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return escaped
    .replaceAll(/^([.'])/gm, '\\&$1')
    .replaceAll(
      /[^\n -~]/gu,
      (character) => `\\[u${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}

/**
 * The texts behind the options: examples as they are, the rest as paragraphs.
 *
 * @param {import('commander').Command} command
 */
function notes(command) {
  let help = '';
  const before = command.configureOutput();
  command.configureOutput({ ...before, writeOut: (text) => (help += text) });
  command.outputHelp();
  command.configureOutput(before);
  const paragraphs = help.slice(command.helpInformation().length).trim().split(/\n\n+/);
  return paragraphs
    .filter((paragraph) => paragraph !== '')
    .flatMap((paragraph) =>
      paragraph.startsWith('Examples:')
        ? [
            '.PP',
            'Examples:',
            '.PP',
            '.nf',
            ...paragraph
              .split('\n')
              .slice(1)
              .map((line) => roff(`   ${line}`)),
            '.fi',
          ]
        : ['.PP', roff(paragraph.replaceAll(/\s*\n\s*/g, ' '))],
    );
}

/** @param {import('commander').Command} command @param {string} path */
function section(command, path) {
  const help = command.createHelp();
  const usage = `${path} ${command.usage()}`;
  /** @param {string} term @param {string} text */
  const item = (term, text) => ['.TP', `.B ${roff(term)}`, roff(text)];
  return [
    `.SS ${roff(usage)}`,
    roff(command.description()),
    ...help
      .visibleArguments(command)
      .flatMap((each) => item(help.argumentTerm(each), help.argumentDescription(each))),
    ...help
      .visibleOptions(command)
      .flatMap((each) => item(help.optionTerm(each), help.optionDescription(each))),
    ...notes(command),
  ];
}

/** @param {import('commander').Command} command @param {string} path @returns {string[]} */
function sections(command, path) {
  return command
    .createHelp()
    .visibleCommands(command)
    .flatMap((each) => {
      if (each.name() === 'help') return [];
      const name = `${path} ${each.name()}`;
      return each.commands.length > 0 ? sections(each, name) : section(each, name);
    });
}

const program = createProgram(async () => {});
const page = [
  `.TH MILLRACE 1 "" "millrace ${version}" "User Commands"`,
  '.SH NAME',
  'millrace \\- sends and handles messages through queues on disk or on RabbitMQ',
  '.SH SYNOPSIS',
  '.B millrace',
  'command [options]',
  '.SH DESCRIPTION',
  roff(program.description()),
  ...notes(program),
  '.SH COMMANDS',
  ...sections(program, 'millrace'),
  '',
].join('\n');

mkdirSync(new URL('dist/man/', root), { recursive: true });
writeFileSync(new URL('dist/man/millrace.1', root), page);
