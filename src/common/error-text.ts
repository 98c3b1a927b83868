import { quote } from './options.js';

/** The text of whatever a handler threw, which need not be an error and need not be printable. */
export function errorText(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return `${thrown.message || thrown.name}`;
    return `a thrown ${quote(thrown)}`;
  } catch {
    return 'a thrown value that cannot be shown';
  }
}
