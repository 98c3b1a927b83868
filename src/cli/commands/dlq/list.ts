import { EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import { conclude, type DlqFlags, selectionOf, withDeadLetters } from '../dlq.js';
import { letterFacts, letters as lettersText, letterTable } from './dead-letter-view.js';

export function listDeadLetters(ids: readonly string[], flags: DlqFlags, output: Output): Promise<ExitCode> {
  return withDeadLetters(flags.queue, flags, output, async (dead, signal) => {
    const { letters, ...looked } = await dead.list(selectionOf(ids, flags, signal));
    const lines = output.json
      ? letters.map((letter) => JSON.stringify(letterFacts(letter)))
      : letters.length === 0
        ? []
        : letterTable(letters, output.live ? process.stdout.columns : undefined);
    for (const line of lines) await output.data(line);
    const shown =
      letters.length === looked.total
        ? lettersText(looked.total)
        : `${letters.length} of ${lettersText(looked.total)}`;
    conclude(output, `${shown} of '${flags.queue}' in '${dead.queue}'`, { ...looked, shown: letters.length });
    if (letters.length === 0) return EXIT.empty;
    if (!output.json) output.note(` [*] Next: millrace dlq show ID, replay or drop, with -q ${flags.queue}`);
    return EXIT.ok;
  });
}
