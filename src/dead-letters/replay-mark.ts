import { randomBytes } from 'node:crypto';
import type { Message } from '../broker.js';
import { headersBytes, MAX_HEADERS_BYTES } from '../common/message/headers.js';
import { withoutHistory } from './dead-letter.js';

/** On a replayed message: the replays that sent it, the latest first. */
const REPLAY = 'x-millrace-replay';

/** Replays that run at once must find their own mark. The others are over, and theirs need not be kept. */
const MAX_MARKS = 8;

const MARK = /^[\w-]{16}$/;

/**
 * The mark of a replay on the messages that it sends. It comes back with those that fail again. No clock is needed to
 * tell them from dead letters that are yet to be sent, and no list of what was sent.
 */
export class ReplayMark {
  readonly #id = randomBytes(12).toString('base64url');

  /** Whether this replay has sent it. */
  isOn(message: Message): boolean {
    return marksOf(message).includes(this.#id);
  }

  /** The message as this replay sends it: without its history, so that its next attempt is the first. */
  put(message: Message): Message {
    const marks = [this.#id, ...marksOf(message)].slice(0, MAX_MARKS).join(' ');
    const sent = withoutHistory(message);
    const headers = { ...sent.headers, [REPLAY]: marks };
    // A message whose own headers leave no room for it is sent without it.
    return headersBytes(headers) > MAX_HEADERS_BYTES ? sent : { ...sent, headers };
  }
}

/** Any client may have written the header. */
function marksOf({ headers }: Message): string[] {
  const marks = Object.hasOwn(headers, REPLAY) ? headers[REPLAY] : undefined;
  if (typeof marks !== 'string') return [];
  return marks.split(' ', MAX_MARKS).filter((mark) => MARK.test(mark));
}
