/** `millrace completion`, and the hidden `millrace complete` that its scripts call. */
import { Argument, type Command } from 'commander';
import { addHelp } from '../common-options.js';
import { BASH_SCRIPT } from './completion/bash-script.js';
import { queueNames } from './completion/queue-names.js';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

const EXAMPLES = `
Examples:
  $ source <(millrace completion bash)     in ~/.bashrc
  $ source <(millrace completion zsh)      in ~/.zshrc
  $ millrace completion fish > ~/.config/fish/completions/millrace.fish
  $ millrace completion powershell | Out-String | Invoke-Expression`;

const NOTES = `
Completes commands, options and their values, files, and the names of queues: of the broker that the words before or the environment name, if it answers within a moment (RabbitMQ's management API in 1.5 s). Names with characters that mean more to a shell are left out.`;

/** How the names of arguments and of the values of options show that they are paths. */
const PATHS: readonly string[] = ['handler', 'module', 'file', 'dir', 'path'];

/** `bare`: all commands but these. */
export function addCompletionCommands(program: Command, bare: () => Command): void {
  const completion = program
    .command('completion')
    .description('Prints a script that completes commands in your shell.')
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .action(async (shell: string) => {
      const root = await completer(bare());
      const generated = printed(() => root.setup('millrace', 'millrace', shell)).join('\n');
      process.stdout.write(shell === 'bash' ? BASH_SCRIPT : `${forZsh(generated)}\n`);
    });
  addHelp(completion, EXAMPLES, NOTES);
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const commands = bare();
      const root = await completer(commands);
      let isAsked = false;
      offerQueues(root, () => {
        isAsked = true;
        return [];
      });
      let lines = printed(() => root.parse([...words]));
      if (isAsked) {
        const names = await queueNames(words);
        offerQueues(root, () => names);
        lines = printed(() => root.parse([...words]));
      }
      if (lines.length === 1 && isPath(commands, words)) lines = [FILES];
      process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    });
}

/** Lets the shell complete the names of files. */
const FILES = ':0';

async function completer(program: Command) {
  const { default: tab } = await import('@bomb.sh/tab/commander');
  const root = tab(program, { completionCommandName: 'completion' });
  root
    .command('completion', 'Prints a script that completes commands in your shell.')
    .argument('shell', (offer) => {
      for (const shell of SHELLS) offer(shell, '');
    });
  return root;
}

/** Its colons, which separate names from descriptions, need a backslash; and where there is no description, no separator. */
function forZsh(script: string): string {
  return script
    .replace(/(?<=\{comp\/\/:\/)\\:/, '\\\\:')
    .replace(/\{comp(?=\/\/\$tab\/:)/, () => '{$'.concat('{comp%$tab}'));
}

/** The lines that the package prints. */
function printed(job: () => void): string[] {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line: unknown) => lines.push(String(line));
  try {
    job();
  } finally {
    console.log = log;
  }
  return lines;
}

/** Wherever a queue is named. */
function offerQueues(root: Awaited<ReturnType<typeof completer>>, names: () => readonly string[]): void {
  const offer = (add: (value: string, description: string) => void) => {
    for (const name of names()) add(name, '');
  };
  for (const command of root.commands.values()) {
    for (const argument of command.arguments.values())
      if (['queue', 'from', 'to', 'text'].includes(argument.name)) argument.handler = offer;
    for (const name of ['queue', 'to', 'dead-letter-queue']) {
      const option = command.options.get(name);
      if (option !== undefined) option.handler = offer;
    }
  }
}

/** Whether the last word is a path: the value of such an option, or an argument of a command that takes one. */
function isPath(program: Command, words: readonly string[]): boolean {
  const [previous = '', current = ''] = words.slice(-2);
  let command = program;
  for (const word of words) command = command.commands.find((each) => each.name() === word) ?? command;
  const option = command.options.find(({ short, long }) => [short, long].includes(previous));
  if (option?.required === true) return PATHS.some((name) => option.flags.endsWith(`<${name}>`));
  return !current.startsWith('-') && command.registeredArguments.some((each) => PATHS.includes(each.name()));
}
