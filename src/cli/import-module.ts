import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CommandError, EXIT } from './exit-code.js';

/** The default export of a module that the user names. `what`: what it is to the user, as `handler module`. */
export async function importDefault(what: string, path: string): Promise<unknown> {
  return (await importModule(what, path)).default;
}

/** All that a module exports, by name. */
export async function importModule(what: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  const file = resolve(path);
  if (!existsSync(file)) throw new CommandError(EXIT.usage, `there is no ${what} '${path}'`);
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(EXIT.configuration, `the ${what} '${path}' can't be loaded: ${reason}`, {
      cause: error,
    });
  }
}
