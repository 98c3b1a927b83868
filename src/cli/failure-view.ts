/** How the attempts of a message failed, as readable text. */
import type { AttemptFailure } from '../common/message/failure-headers.js';
import { escapeControls } from '../common/reporting/terminal-text.js';

/** A name and a value for each failure. */
export function failureFacts(failures: readonly AttemptFailure[]): [string, string][] {
  return failures.map(({ attempt, at, host, pid, error }) => {
    const where = [at, host, pid === undefined ? undefined : `process ${pid}`];
    return [`attempt ${attempt}`, `${where.filter((part) => part !== undefined).join(', ')}: ${error}`];
  });
}

/** The lines of a stack, none of which can look like anything else. */
export function stackLines(stack: string | undefined): string[] {
  if (stack === undefined) return [];
  const lines = escapeControls(stack.replace(/\r\n?/g, '\n')).split('\n');
  return ['stack:', ...lines.map((line) => `  ${line}`)];
}
