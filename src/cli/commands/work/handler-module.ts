import type { Handler } from '../../../consumer/handler-run.js';
import { CommandError, EXIT } from '../../exit-code.js';
import { importDefault } from '../../import-module.js';

/** The default export of a module, as the handler of messages. */
export async function importHandler(path: string): Promise<Handler<unknown>> {
  const handler = await importDefault('handler module', path);
  if (typeof handler === 'function') return handler as Handler<unknown>;
  throw new CommandError(
    EXIT.configuration,
    `the handler module '${path}' has no function as its default export; write: export default async (value, { id, attempt, signal }) => { … }`,
  );
}
