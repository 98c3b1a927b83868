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
 * The paragraphs behind the options.
 *
 * @param {import('commander').Command} command
 */
function paragraphsOf(command) {
  let help = '';
  const before = command.configureOutput();
  command.configureOutput({ ...before, writeOut: (text) => (help += text) });
  command.outputHelp();
  command.configureOutput(before);
  const paragraphs = help.slice(command.helpInformation().length).trim().split(/\n\n+/);
  return paragraphs.filter((paragraph) => paragraph !== '');
}

/** @param {string} paragraph */
const filled = (paragraph) => roff(paragraph.replaceAll(/\s*\n\s*/g, ' '));

/** @param {string} paragraph */
const examples = (paragraph) => [
  // With the usual indentation, the longest would not fit a terminal.
  '.in 2',
  '.nf',
  ...paragraph
    .split('\n')
    .slice(1)
    .map((line) => roff(line.trimStart())),
  '.fi',
  '.in',
];

/** @param {string} term @param {string} text */
const item = (term, text) => ['.TP', `.B ${roff(term)}`, roff(text)];

/**
 * Examples as they are, the rest as paragraphs. What all commands have in common is a section of its own.
 *
 * @param {import('commander').Command} command
 */
function notes(command) {
  return paragraphsOf(command)
    .filter((paragraph) => !paragraph.startsWith('Address: --url, else --url-file, else the first'))
    .flatMap((paragraph) =>
      paragraph.startsWith('Examples:')
        ? ['.PP', 'Examples:', '.PP', ...examples(paragraph)]
        : ['.PP', filled(paragraph)],
    );
}

/** @param {import('commander').Command} command @param {string} path */
function section(command, path) {
  const help = command.createHelp();
  const usage = `${path} ${command.usage()}`;
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
const queues = program.commands.find((command) => command.name() === 'queues');
if (queues === undefined) throw new Error('there is no command queues');

/** @param {import('commander').Command} command @param {string} begin */
function paragraph(command, begin) {
  const found = paragraphsOf(command).find((each) => each.startsWith(begin));
  if (found === undefined) throw new Error(`the help of ${command.name()} has no paragraph '${begin}'`);
  return found;
}

/** @type {{ ADDRESS_VARIABLES: readonly string[] }} */
const { ADDRESS_VARIABLES } = await load('dist/cli/address.js');
const exitCodes = paragraph(program, 'Exit codes: ')
  .replaceAll(/\s*\n\s*/g, ' ')
  .replace(/^Exit codes: |\.$/g, '')
  .split('; ');

const page = [
  `.TH MILLRACE 1 "" "millrace ${version}" "User Commands"`,
  // Ragged, and without hyphens in names and options.
  '.nh',
  '.ad l',
  '.SH NAME',
  'millrace \\- sends and handles messages through queues on disk or on RabbitMQ',
  '.SH SYNOPSIS',
  '.B millrace',
  '.I command',
  '[options]',
  '.SH DESCRIPTION',
  roff(program.description()),
  '.SH OPTIONS',
  ...program
    .createHelp()
    .visibleOptions(program)
    .flatMap((each) => item(each.flags, each.description)),
  '.SH COMMANDS',
  ...sections(program, 'millrace'),
  '.SH ADDRESS',
  filled(paragraph(queues, 'Address: ').replace('Address: ', 'The address of the broker is ')),
  '.SH EXIT STATUS',
  ...exitCodes.flatMap((each) => {
    const [, codes = '', meaning = ''] = /^([\d, ]+) (.*)$/.exec(each) ?? [];
    return item(codes, meaning);
  }),
  '.SH ENVIRONMENT',
  ...item(
    ADDRESS_VARIABLES.join(', '),
    'The address of the broker, without --url and --url-file; the first that is set. With the suffix _FILE: the path of a file that contains it.',
  ),
  ...item('XDG_STATE_HOME', 'Where the default folder is; ~/.local/state if it is not set.'),
  ...item(
    'NO_COLOR',
    'If it is set, or if TERM is dumb, the output has no colors. It wins over FORCE_COLOR.',
  ),
  '.SH FILES',
  ...item(
    '~/.local/state/millrace/queue.db',
    'The queues of the default folder. Other folders, as in local:FOLDER, have a file of the same name.',
  ),
  '.SH EXAMPLES',
  ...examples(paragraph(program, 'Examples:')),
  '.SH SEE ALSO',
  filled("'millrace help COMMAND' prints the section of a command. The package contains a README."),
  '',
].join('\n');

mkdirSync(new URL('dist/man/', root), { recursive: true });
writeFileSync(new URL('dist/man/millrace.1', root), page);
