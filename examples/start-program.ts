/** Starts another program of an example, as TypeScript or JavaScript, like the caller. */
import { type ChildProcess, fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** `here` is the `import.meta.url` of the caller, `program` a name relative to it. The caller's output is inherited. */
export function startProgram(here: string, program: string, args: readonly string[]): ChildProcess {
  if (args.includes('local:')) {
    console.error(
      `'local:' is a queue within one process: use a folder, such as -u local:./data, or RabbitMQ`,
    );
    process.exit(2);
  }
  const path = fileURLToPath(new URL(`${program}${extname(fileURLToPath(here))}`, here));
  const child = fork(path, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  running.add(child);
  child.once('exit', (code) => {
    running.delete(child);
    if (code) process.exit(code); // it has printed why; there is no point in waiting for its work
  });
  return child;
}
