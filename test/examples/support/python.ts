import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { missingPackage, succeeds } from '../../support/debian-package.js';

const PYTHON = '/usr/bin/python3';
const execute = promisify(execFile);

/** Why the programs of tutorials in Python can't run here; undefined: they can. */
export function noPython(): string | undefined {
  return existsSync(PYTHON) ? undefined : `there is no ${PYTHON}`;
}

/** As `noPython`, for those that need pika. */
export async function noPika(): Promise<string | undefined> {
  return noPython() ?? (await missingPackage('python3-pika', () => succeeds(PYTHON, '-c', 'import pika')));
}

/** Runs a program of test/examples/tutorials to its end, and gives the lines that it printed. */
export async function python(program: string, ...args: string[]): Promise<string[]> {
  const path = fileURLToPath(new URL(`tutorials/${program}`, import.meta.url));
  const { stdout } = await execute(PYTHON, [path, ...args], { timeout: 60_000 });
  return stdout.split('\n').slice(0, -1);
}
