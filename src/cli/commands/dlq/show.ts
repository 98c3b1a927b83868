import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import { type DlqFlags, selectionOf, withDeadLetters } from '../dlq.js';
import { letterDetails, wholeLetter } from './dead-letter-view.js';

export function showDeadLetters(ids: readonly string[], flags: DlqFlags, output: Output): Promise<ExitCode> {
  return withDeadLetters(flags.queue, flags, output, async (dead, signal) => {
    const limit = flags.limit ?? (ids.length === 0 ? 1 : Number.POSITIVE_INFINITY);
    const selection = { ...selectionOf(ids, flags, signal), limit };
    const { letters, total, examined } = await dead.list(selection);
    if (letters.length === 0) {
      const looked = examined < total ? `, of which the first ${examined} were looked at` : '';
      throw new CommandError(
        EXIT.empty,
        `no such dead letter among the ${total} in '${dead.queue}'${looked}`,
      );
    }
    for (const [position, letter] of letters.entries()) {
      if (output.json) await output.data(JSON.stringify(wholeLetter(letter)));
      else await output.data(`${position === 0 ? '' : '\n'}${letterDetails(letter)}`);
    }
    const found = new Set(letters.map(({ id }) => id));
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length === 0) return EXIT.ok;
    output.error(`not among the dead letters in '${dead.queue}': ${missing.join(', ')}`);
    return EXIT.partial;
  });
}
