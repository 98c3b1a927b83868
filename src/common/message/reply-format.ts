/** The format of replies: JSON with the request's correlation id, or an error. */
import type { Message } from '../../broker.js';
import type { RemoteFailure } from '../../errors.js';
import { newMessage } from './create-and-check.js';

/** The content type of a reply whose handler returned undefined, which JSON can't represent. */
export const NOTHING = 'application/x-millrace-nothing';

/** Set on the reply of a failed handler; the body is then the error's message. */
const ERROR_CODE = 'x-millrace-error-code';

/** A message that asks for a reply. */
export type Request = Message & { readonly replyTo: string; readonly correlationId: string };

/** The prefix of the names of reply queues. */
export const REPLY_QUEUE_PREFIX = 'millrace.reply.';

/** RabbitMQ's addresses for direct replies. Clients can't declare queues whose names begin with `amq.`. */
const DIRECT_REPLY_PREFIX = 'amq.rabbitmq.reply-to.';

/** Whether an address can only belong to a requester, never to an ordinary queue. */
export function isReplyAddress(address: string): boolean {
  return address.startsWith(REPLY_QUEUE_PREFIX) || address.startsWith(DIRECT_REPLY_PREFIX);
}

/** Throws for a value that JSON can't carry. */
export function replyTo(request: Request, value: unknown): Message {
  const body = replyJson(value);
  return body === undefined ? reply(request, NOTHING, '') : reply(request, 'application/json', body);
}

/** The body of a reply; undefined for undefined. Throws for a value that JSON can't carry. */
export function replyJson(value: unknown): string | undefined {
  const body: string | undefined = JSON.stringify(value);
  if (body !== undefined || value === undefined) return body;
  throw new TypeError(`JSON has no form for a value of type ${typeof value}`);
}

export function errorReplyTo(request: Request, { code, message }: RemoteFailure): Message {
  // Cut short, so that the reply does not fail because of its size.
  return reply(request, 'text/plain', message.slice(0, 1000).toWellFormed(), { [ERROR_CODE]: code });
}

/** The failure in a reply; undefined if the handler succeeded. */
export function remoteFailure({ headers, body }: Message): RemoteFailure | undefined {
  const code = headers[ERROR_CODE];
  if (typeof code !== 'string') return undefined;
  return { code, message: typeof body === 'string' ? body : Buffer.from(body).toString('utf8') };
}

function reply(
  { correlationId }: Request,
  contentType: string,
  body: string,
  headers: Message['headers'] = {},
): Message {
  return newMessage({ contentType, body }, { headers, correlationId });
}
