/** How a consumer tells the broker which wait queues its retry policy needs, so that an operator can find the unused ones. */

const ARGUMENT = 'x-millrace-retry-delays';

/** The value of a consumer whose delays are too many to list: it may need any wait queue. */
const ANY = 'any';
const NONE = 'none';

/** An argument has to fit into one frame, with all others. */
const MAX_LENGTH = 4096;

/** The consumer arguments that name the delays of a policy. Brokers ignore arguments that they don't know. */
export function delaysArgument(exactDelaysMs: readonly number[]): Readonly<Record<string, string>> {
  const delays = exactDelaysMs.filter((delayMs) => delayMs > 0).map((delayMs) => Math.ceil(delayMs));
  const text = delays.length === 0 ? NONE : delays.join(' ');
  return { [ARGUMENT]: text.length > MAX_LENGTH ? ANY : text };
}

/**
 * Whether the policy of a consumer with these arguments may have exactly this delay. A consumer that names none may: it
 * may be one of an earlier version of the toolkit.
 */
export function mayHaveDelay(given: unknown, delayMs: number): boolean {
  const text = (given as Readonly<Record<string, unknown>> | null | undefined)?.[ARGUMENT];
  return typeof text !== 'string' || text === ANY || text.split(' ').includes(String(delayMs));
}
