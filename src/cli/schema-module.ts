import type { StandardSchemaV1 } from '@standard-schema/spec';
import { defineQueue, type Queue } from '../queue.js';
import { CommandError, EXIT } from './exit-code.js';
import { importDefault } from './import-module.js';

/** The queue `name` as a module defines it: its default export is a queue of `defineQueue`, or a schema. */
export async function importQueue(
  path: string,
  name: string,
): Promise<Pick<Queue<never, unknown>, 'name' | 'spec' | 'decode'>> {
  const definition = await importDefault('schema module', path);
  if (isQueue(definition)) {
    if (definition.name === name) return definition;
    throw new CommandError(
      EXIT.usage,
      `the schema module '${path}' defines the queue '${definition.name}', not '${name}': say --queue ${definition.name}`,
    );
  }
  if (isSchema(definition)) return defineQueue(name, definition);
  throw new CommandError(
    EXIT.configuration,
    `the schema module '${path}' has no schema as its default export; write: export default z.object({ … }), or export a queue of defineQueue`,
  );
}

function isQueue(value: unknown): value is Queue<never, unknown> {
  return typeof value === 'object' && value !== null && 'decode' in value && 'spec' in value;
}

/** Some schemas are functions. */
function isSchema(value: unknown): value is StandardSchemaV1 {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value
  );
}
