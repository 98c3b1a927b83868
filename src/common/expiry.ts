/** When messages become worthless. */
import type { Failure, Message } from '../broker.js';

/** Whether the message's time is over. */
export function isExpired({ expiresAt }: Pick<Message, 'expiresAt'>): boolean {
  return expiresAt !== undefined && expiresAt <= Date.now();
}

/** Why a message that has expired is not handled. */
export function expiredFailure(expiresAt: number | undefined): Failure {
  const date = new Date(expiresAt ?? Number.NaN);
  const when = Number.isNaN(date.getTime()) ? '' : ` at ${date.toISOString()}`;
  return { code: 'expired', error: `its time was over${when}, before it was handled` };
}
