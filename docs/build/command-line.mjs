/** Writes the reference of the command line from its own help. Needs the built package. */
import { createProgram } from '../../dist/cli/program.js';

/** The page, with one section for each command. */
export function commandLinePage() {
  process.env.COLUMNS = '80';
  process.env.NO_COLOR = '1';
  const program = createProgram(() => Promise.resolve());
  const sections = [...commandsOf(program)].map(([name, command]) => {
    const depth = '#'.repeat(Math.min(name.split(' ').length + 1, 4));
    return `${depth} ${name}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`;
  });
  return `# Command line\n\nWritten from \`millrace --help\` and the help of each command. In a checkout, run \`node dist/cli/bin.js\`.\n\n${sections.join('\n')}`;
}

function* commandsOf(command, parent = '') {
  const name = `${parent} ${command.name()}`.trim();
  yield [name, command];
  for (const child of command.commands) if (child.name() !== 'help') yield* commandsOf(child, name);
}

function helpOf(command) {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 80 });
  command.outputHelp();
  return text.trim();
}
