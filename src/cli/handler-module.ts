import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Handler } from '../consumer/handler.js';
import { CommandError, EXIT } from './exit-code.js';

/** The default export of a module, as the handler of messages. */
export async function importHandler(path: string): Promise<Handler<unknown>> {
  const file = resolve(path);
  if (!existsSync(file)) throw new CommandError(EXIT.usage, `there is no handler module '${path}'`);
  let module: { readonly default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(EXIT.configuration, `the handler module '${path}' can't be loaded: ${reason}`, {
      cause: error,
    });
  }
  if (typeof module.default === 'function') return module.default as Handler<unknown>;
  throw new CommandError(
    EXIT.configuration,
    `the handler module '${path}' has no function as its default export; write: export default async (value, { id, attempt, signal }) => { … }`,
  );
}
