/** `millrace peek` */

import { isUtf8 } from 'node:buffer';
import { type Command, Option } from 'commander';
import type { MessageState, PeekedMessage } from '../../broker.js';
import { FAILURES, failuresIn, STACK, stackIn } from '../../common/message/failure-headers.js';
import { showHeaders, showValue } from '../../common/message/headers.js';
import { wholeCharacters } from '../../common/operator/peek-page.js';
import { count } from '../../common/reporting/count.js';
import { onOneLine } from '../../common/reporting/terminal-text.js';
import { addHelp, addressFlags, type Execute, shellQuoted } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { failureFacts, stackLines } from '../failure-view.js';
import { padTo, widthOf } from '../layout.js';
import { integerValue, nameValue } from '../option-values.js';
import { type Output, showBody } from '../output.js';
import {
  addOperatorOptions,
  noSuchQueue,
  type OperatorFlags,
  withOperator,
} from './operator/operator-command.js';
import { age } from './operator/queue-view.js';

interface PeekFlags extends OperatorFlags {
  readonly limit: number;
  readonly state: MessageState;
  readonly after?: string;
  readonly maxBody: number;
}

const EXAMPLES = `
Examples:
  $ millrace peek orders                   the first messages, with their bodies
  $ millrace peek orders --state delayed   those that wait, and until when
  $ millrace peek orders -n 1 --max-body 1000000 --json | jq -r .body`;

const NOTES = `
The messages stay where they are. On RabbitMQ they are delivered to this command and returned at once: consumers miss them for a moment, and then receive them marked as redelivered.`;

export function addPeekCommand(program: Command, execute: Execute): void {
  const command = program
    .command('peek')
    .description('Shows messages of a queue without taking them.')
    .argument('<queue>', 'the name of the queue', nameValue)
    .addOption(
      new Option('-n, --limit <n>', 'the maximum number of messages')
        .argParser(integerValue(1, 1000))
        .default(10),
    )
    .addOption(
      new Option('--state <state>', 'which messages; RabbitMQ shows ready ones only')
        .choices(['ready', 'unsettled', 'delayed'])
        .default('ready'),
    )
    .option('--after <place>', 'start where an earlier page ended; not on RabbitMQ')
    .addOption(new Option('--max-body <bytes>', 'cut longer bodies').argParser(integerValue(0)).default(2000))
    .action((queue: string, flags: PeekFlags) => execute(flags, (output) => peek(queue, flags, output)));
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

function peek(queue: string, flags: PeekFlags, output: Output): Promise<ExitCode> {
  const { limit, state, after, maxBody: maxBodyBytes } = flags;
  return withOperator('peek', flags, output, noSuchQueue(queue), async ({ operator, wait }) => {
    const { messages, next } = await operator.peek(queue, { ...wait, limit, state, after, maxBodyBytes });
    for (const [position, message] of messages.entries()) {
      if (output.json) await output.record(recordOf(message));
      else await output.block(`${position === 0 ? '' : '\n'}${detailsOf(message)}`);
    }
    if (messages.length === 0) {
      output.note(` [*] '${queue}' has no ${state} messages${after === undefined ? '' : ' after these'}`);
      return EXIT.empty;
    }
    if (next !== undefined && !output.json) {
      const which = state === 'ready' ? '' : ` --state ${state}`;
      output.note(
        ` [*] For more: millrace peek ${shellQuoted(queue)}${which} --after ${shellQuoted(next)}${addressFlags(flags)}`,
      );
    }
    return EXIT.ok;
  });
}

function bytesOf({ message: { body }, bodyBytes }: PeekedMessage): Buffer {
  if (typeof body === 'string') return Buffer.from(body);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.length < bodyBytes ? wholeCharacters(bytes) : bytes;
}

function detailsOf(peeked: PeekedMessage): string {
  const { message, bodyBytes, state, attempt, redelivered, dueAt, holder, heldSince } = peeked;
  const body = bytesOf(peeked);
  const failures = failuresIn(message.headers);
  const stack = stackIn(message.headers);
  const headers = { ...message.headers };
  if (failures.length > 0) delete headers[FAILURES];
  if (stack !== undefined) delete headers[STACK];
  const cutTo = body.byteLength < bodyBytes ? `, the first ${body.byteLength} shown` : '';
  const facts: [string, string | undefined][] = [
    ['id', message.id],
    ['state', `${state}${holder === undefined ? '' : `, held by ${holder}`}`],
    [
      'held since',
      heldSince === undefined
        ? undefined
        : `${dateOf(heldSince)}, for ${age(Math.max(0, Date.now() - heldSince))}`,
    ],
    ['ready at', dueAt === undefined ? undefined : dateOf(dueAt)],
    ['attempt', attempt > 1 || redelivered ? `${attempt}${redelivered ? ', redelivered' : ''}` : undefined],
    ['sent', message.timestamp === undefined ? undefined : dateOf(message.timestamp)],
    ['expires', message.expiresAt === undefined ? undefined : dateOf(message.expiresAt)],
    ['content type', message.contentType],
    ['content encoding', message.contentEncoding],
    ['type', message.type],
    ['app id', message.appId],
    ['priority', message.priority?.toString()],
    ['correlation id', message.correlationId],
    ['reply to', message.replyTo],
    ['exchange', message.origin && `${message.origin.exchange}, routing key ${message.origin.routingKey}`],
    ...failureFacts(failures),
    ...Object.entries(headers).map(([name, value]): [string, string] => {
      const shown = showValue(value);
      return [`header ${name}`, typeof shown === 'string' ? shown : JSON.stringify(shown)];
    }),
    ['body', `${count(bodyBytes, 'byte')}${cutTo}`],
  ];
  const known = facts
    .filter((fact): fact is [string, string] => Boolean(fact[1]))
    .map(([name, value]) => [onOneLine(`${name}:`), onOneLine(value)] as const);
  const width = Math.max(...known.map(([name]) => widthOf(name)));
  const lines = known.map(([name, value]) => `${padTo(name, width)}  ${value}`);
  // The last line is that of the body.
  return [...lines.slice(0, -1), ...stackLines(stack), ...lines.slice(-1), showBody(body)].join('\n');
}

function recordOf(peeked: PeekedMessage): object {
  const { message, bodyBytes, state, attempt, redelivered, dueAt, holder, heldSince } = peeked;
  const { headers, body: _, ...properties } = message;
  const body = bytesOf(peeked);
  const content = isUtf8(body) ? { body: body.toString('utf8') } : { bodyBase64: body.toString('base64') };
  return {
    ...properties,
    state,
    attempt,
    redelivered,
    dueAt,
    holder,
    heldSince,
    headers: showHeaders(headers),
    bodyBytes,
    ...(body.byteLength < bodyBytes && { cut: true }),
    ...content,
  };
}

/** Timestamps in microseconds or nanoseconds, which some senders use, are too large for a date. */
function dateOf(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? `${time} ms after 1970, which is no date` : date.toISOString();
}
