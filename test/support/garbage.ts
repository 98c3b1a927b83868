import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
export const collectGarbage: () => void = runInNewContext('gc');

/** Whether each of the objects is gone, as far as the garbage collector can tell. */
export async function collected(references: readonly WeakRef<object>[]): Promise<boolean> {
  // A turn of the event loop: within one, a WeakRef keeps what it was made of or asked for.
  await turn();
  collectGarbage();
  return references.every((reference) => reference.deref() === undefined);
}
