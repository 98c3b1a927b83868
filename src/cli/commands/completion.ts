/** `millrace completion`, and the hidden `millrace complete` that its scripts call. */
import { Argument, type Command } from 'commander';
import { operatorOf } from '../../common/backend-of.js';
import { connect, targetOf } from '../../connect.js';
import { folderHasStore } from '../../diagnose.js';
import { chooseAddress } from '../address.js';
import { addHelp } from '../common-options.js';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

const EXAMPLES = `
Examples:
  $ source <(millrace completion bash)     in ~/.bashrc
  $ source <(millrace completion zsh)      in ~/.zshrc
  $ millrace completion fish > ~/.config/fish/completions/millrace.fish
  $ millrace completion powershell | Out-String | Invoke-Expression`;

const NOTES = `
Completes commands, options and their values, and in a folder the names of the queues.`;

/** The maximum number of queue names offered, and the time limit for finding them. */
const MAX_NAMES = 200;
const LIMIT_MS = 10_000;

/** `bare`: all commands but these. */
export function addCompletionCommands(program: Command, bare: () => Command): void {
  const completion = program
    .command('completion')
    .description('Prints a script that completes commands in your shell.')
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .action(async (shell: string) => {
      const script = scriptOf(await completer(bare()), shell);
      process.stdout.write(shell === 'bash' ? forAnyBash(script) : script);
    });
  addHelp(completion, EXAMPLES, NOTES);
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const root = await completer(bare());
      offerQueues(root, await queueNames(words));
      root.parse(words);
    });
}

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

/** The generator prints its script. */
function scriptOf(root: Awaited<ReturnType<typeof completer>>, shell: string): string {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line: unknown) => lines.push(`${line}\n`);
  try {
    root.setup('millrace', 'millrace', shell);
  } finally {
    console.log = log;
  }
  return lines.join('');
}

/**
 * The words as they are typed, without the package bash-completion, which is not everywhere; and constants that another
 * program's script, or this one sourced again, may set, too.
 */
function forAnyBash(script: string): string {
  return script.replaceAll(/^readonly (?=ShellComp)/gm, '').replace(
    /^ *_get_comp_words_by_ref .*$/m,
    `    read -ra words <<< "\${COMP_LINE:0:COMP_POINT}"
    [[ "\${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && words+=("")
    cword=$((\${#words[@]} - 1))
    cur=\${words[cword]}`,
  );
}

/** Wherever a queue is named. */
function offerQueues(root: Awaited<ReturnType<typeof completer>>, names: readonly string[]): void {
  const offer = (add: (value: string, description: string) => void) => {
    for (const name of names) add(name, '');
  };
  for (const command of root.commands.values()) {
    for (const argument of command.arguments.values())
      if (['queue', 'from', 'to'].includes(argument.name)) argument.handler = offer;
    const option = command.options.get('queue');
    if (option !== undefined) option.handler = offer;
  }
}

/**
 * The queues of the folder that the words, or the environment, name. RabbitMQ is not queried: a keystroke needs an
 * instant response.
 */
async function queueNames(words: readonly string[]): Promise<string[]> {
  try {
    const at = words.findIndex((word) => word === '-u' || word === '--url');
    const url = at === -1 ? words.find((word) => word.startsWith('--url='))?.slice(6) : words[at + 1];
    const { address } = chooseAddress(url === undefined ? {} : { url });
    const target = targetOf(address);
    if (target.kind !== 'folder' || !(await folderHasStore(target.path))) return [];
    const broker = await connect(address, { connectTimeoutMs: LIMIT_MS });
    try {
      const { queues } = await operatorOf(broker).queues({ limit: MAX_NAMES, timeoutMs: LIMIT_MS });
      return queues.map(({ name }) => name).filter(isPlain);
    } finally {
      await broker.close();
    }
  } catch {
    // Nothing may be printed while the user is typing.
    return [];
  }
}

/** The shell treats suggestions as typed input: names with special characters are left out. */
function isPlain(name: string): boolean {
  return /^[\w.@%+,/][\w.@%+,/-]*$/.test(name);
}
