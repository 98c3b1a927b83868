/** The expiry of messages. */
import type { Failure, Message } from '../broker.js';

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
