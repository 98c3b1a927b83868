/** Selects the headers of a received message that are passed on unchanged. */
import type { HeaderValue, MessageHeaders } from '../../broker.js';
import { encodeField, type HeaderField, type HeaderTable, isReadable } from './header-table.js';

/**
 * Splits the headers of a message that is sent on: unchanged ones are carried byte for byte. All others are added as text,
 * or encoded; `check` throws for those that can't be. Fields that readers could not decode are left behind.
 */
export function carry(
  received: HeaderTable | undefined,
  wanted: MessageHeaders,
  check: (added: MessageHeaders) => void = () => {},
): {
  readonly carried: HeaderField[];
  readonly added: Record<string, string>;
  readonly left: readonly string[];
} {
  const carried: HeaderField[] = [];
  const left: string[] = [];
  const others: Record<string, HeaderValue> = { ...wanted };
  for (const field of received?.fields() ?? []) {
    const { name } = field;
    if (received === undefined || !isUnchanged(received, wanted, name)) continue;
    delete others[name];
    if (isReadable(field)) carried.push(field);
    else left.push(name);
  }
  check(others);
  const added: Record<string, string> = {};
  for (const [name, value] of Object.entries(others)) {
    if (typeof value === 'string') added[name] = value;
    else carried.push(encodeField(name, value));
  }
  return { carried, added, left };
}

/** Whether the wanted header equals the received one. */
export function isUnchanged({ values }: HeaderTable, wanted: MessageHeaders, name: string): boolean {
  return Object.hasOwn(values, name) && Object.hasOwn(wanted, name) && Object.is(wanted[name], values[name]);
}
