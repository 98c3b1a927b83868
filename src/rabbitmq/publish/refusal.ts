import { replyCode, replyText } from '../connection/broker-errors.js';
import type { PendingPublish } from './pending-publish.js';

/**
 * RabbitMQ closes a channel because of one message, and does not say which. Rejects the one that it must be, or
 * those that the text of the refusal is about. Where that is none, returns those it may be: sent one by one, the
 * next closing tells.
 */
export function blame(sent: readonly PendingPublish[], refusal: Error): readonly PendingPublish[] {
  const exchange = exchangeOf(replyText(refusal));
  const guilty = sent.length === 1 ? sent : sent.filter(({ wire }) => wire.exchange === exchange);
  for (const outgoing of guilty) reject(outgoing, refusal);
  return guilty.length > 0 ? [] : sent.filter((outgoing) => !outgoing.settled);
}

/**
 *   NOT_FOUND - no exchange 'e' in vhost '/'
 *   ACCESS_REFUSED - write access to exchange 'e' in vhost '/' refused for user 'u'
 */
function exchangeOf(text: string): string | undefined {
  const name = /(?:no|access to) exchange '(.*)' in vhost '/.exec(text)?.[1];
  return name === 'amq.default' ? '' : name;
}

function reject(outgoing: PendingPublish, refusal: Error): void {
  const said = replyText(refusal);
  const code = replyCode(refusal);
  if (code === 404) outgoing.fail('UNROUTABLE', said, refusal);
  else if (code === 403) outgoing.fail('ACCESS_REFUSED', said, refusal);
  else if (/message size .* is larger/.test(said)) {
    outgoing.fail('TOO_LARGE', `${said}; lower maxMessageBytes, or raise the broker's limit`, refusal);
  } else if (code === 406) outgoing.fail('INVALID_MESSAGE', said, refusal);
  else outgoing.fail('BROKER_ERROR', said, refusal);
}
