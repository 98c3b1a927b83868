/** The expiry of messages. */
import type { Failure, Message, MessageHeaders } from '../../broker.js';

/** When the message expires, if the backend has no better place for it. */
export const EXPIRES_AT = 'x-millrace-expires-at';

/** Whether the message has expired. */
export function isExpired({ expiresAt }: Pick<Message, 'expiresAt'>): boolean {
  return expiresAt !== undefined && expiresAt <= Date.now();
}

/** The reason for not handling an expired message. */
export function expiredFailure(expiresAt: number | undefined): Failure {
  const date = new Date(expiresAt ?? Number.NaN);
  const when = Number.isNaN(date.getTime()) ? '' : ` at ${date.toISOString()}`;
  return { code: 'expired', error: `it expired${when} before it was handled` };
}

/** Adds the expiry of the message to its headers. */
export function withExpiry(headers: MessageHeaders, expiresAt: number): MessageHeaders {
  return { ...headers, [EXPIRES_AT]: String(expiresAt) };
}

/** The time that {@link withExpiry} wrote, and the headers without it. */
export function expiryIn(headers: MessageHeaders): {
  readonly expiresAt: number | undefined;
  readonly others: MessageHeaders;
} {
  const { [EXPIRES_AT]: text, ...others } = headers;
  // A stranger may have written another number there.
  const isTime = typeof text === 'string' && /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text));
  return { expiresAt: isTime ? Number(text) : undefined, others };
}

/** Whether {@link expiryIn} finds an expiry. */
export function hasExpiry(headers: MessageHeaders): boolean {
  return Object.hasOwn(headers, EXPIRES_AT);
}
