/** Formats dead letters as readable text and as JSON. */

import { isUtf8 } from 'node:buffer';
import type { HeaderValue } from '../../../broker.js';
import { showHeaders, showValue } from '../../../common/message/headers.js';
import { count } from '../../../common/reporting/count.js';
import { onOneLine } from '../../../common/reporting/terminal-text.js';
import { type DeadLetter, withoutHistory } from '../../../dead-letters/dead-letter.js';
import { failureFacts, stackLines } from '../../failure-view.js';
import { cut, padTo, widthOf } from '../../layout.js';
import { showBody } from '../../output.js';

const COLUMNS = ['ID', 'DEAD SINCE', 'QUEUE', 'REASON', 'ATTEMPTS', 'ERROR'] as const;
const ERROR = COLUMNS.indexOf('ERROR');
/** What makes room for the errors, and how much of them has to be seen. */
const OMITTED = ['QUEUE', 'ATTEMPTS', 'DEAD SINCE'] as const;
const ERROR_WIDTH = 24;
const GAP = 2;

/**
 * A header line and a line per dead letter. `width`: the maximum length of a line; columns that say less than the error
 * are omitted to keep it.
 */
export function deadLetterTable(letters: readonly DeadLetter[], width = Number.POSITIVE_INFINITY): string[] {
  const rows = [COLUMNS, ...letters.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  const shown = new Set(widths.keys());
  const needed = Math.min(ERROR_WIDTH, widths[ERROR] ?? 0);
  const room = () =>
    width - [...shown].reduce((sum, column) => sum + (column === ERROR ? 0 : (widths[column] ?? 0) + GAP), 0);
  for (const name of OMITTED) if (room() < needed) shown.delete(COLUMNS.indexOf(name));
  return rows.map((row) => {
    const line = [...shown]
      .map((column) => padTo(row[column] ?? '', widths[column] ?? 0))
      .join(' '.repeat(GAP));
    return cut(line.trimEnd(), width);
  });
}

function cells({ id, deadAt, queue, reason, attempts, error }: DeadLetter): string[] {
  const values = [id, showTime(deadAt), queue ?? '?', reason, String(attempts ?? '?'), error];
  return values.map((value) => onOneLine(value.replaceAll('\t', ' ')));
}

/** Everything known about a dead letter, followed by its body. */
export function deadLetterDetails(deadLetter: DeadLetter): string {
  const { message } = deadLetter;
  const body = bytesOf(deadLetter);
  const facts: [string, string | undefined][] = [
    ['id', deadLetter.id],
    ['queue', deadLetter.queue],
    ['reason', deadLetter.reason],
    ['attempts', deadLetter.attempts?.toString()],
    ['first error', deadLetter.firstError],
    ['last error', deadLetter.error],
    ...failureFacts(deadLetter.failures),
    ['dead since', deadLetter.deadAt],
    ['sent', message.timestamp === undefined ? undefined : dateOf(message.timestamp)],
    ['content type', message.contentType],
    ['content encoding', message.contentEncoding],
    ['type', message.type],
    ['app id', message.appId],
    ['user id', message.userId],
    ['persistent', message.persistent === false ? 'no' : undefined],
    ['priority', message.priority?.toString()],
    ['correlation id', message.correlationId],
    ['reply to', message.replyTo],
    ...Object.entries(withoutHistory(message).headers).map(([name, value]): [string, string] => [
      `header ${name}`,
      headerText(value),
    ]),
    ['body', count(body.byteLength, 'byte')],
  ];
  const known = facts
    .filter((fact): fact is [string, string] => Boolean(fact[1]))
    .map(([name, value]) => [onOneLine(`${name}:`), onOneLine(value)] as const);
  const width = Math.max(...known.map(([name]) => widthOf(name)));
  const lines = known.map(([name, value]) => `${padTo(name, width)}  ${value}`);
  // The last line is that of the body.
  return [...lines.slice(0, -1), ...stackLines(deadLetter.stack), ...lines.slice(-1), showBody(body)].join(
    '\n',
  );
}

/** The JSON that `list` prints for a dead letter. */
export function deadLetterFacts(deadLetter: DeadLetter): Readonly<Record<string, unknown>> {
  const { id, queue, reason, error, firstError, attempts, deadAt, message } = deadLetter;
  const { contentType } = message;
  const bytes = bytesOf(deadLetter).byteLength;
  return { id, queue, reason, attempts, error, firstError, deadAt, contentType, bytes };
}

/** The JSON that `show` prints: that of `list`, plus the whole message. */
export function wholeDeadLetter(deadLetter: DeadLetter): Readonly<Record<string, unknown>> {
  const { headers, timestamp, priority, correlationId, replyTo, contentEncoding, ...others } = withoutHistory(
    deadLetter.message,
  );
  const { type, appId, userId, persistent } = others;
  const body = bytesOf(deadLetter);
  const content = isUtf8(body) ? { body: body.toString('utf8') } : { bodyBase64: body.toString('base64') };
  return {
    ...deadLetterFacts(deadLetter),
    failures: deadLetter.failures,
    stack: deadLetter.stack,
    timestamp,
    priority,
    correlationId,
    replyTo,
    contentEncoding,
    type,
    appId,
    userId,
    persistent,
    headers: showHeaders(headers),
    ...content,
  };
}

function headerText(value: HeaderValue): string {
  const shown = showValue(value);
  return typeof shown === 'string' ? shown : JSON.stringify(shown);
}

export function countOf(deadLetters: number): string {
  return count(deadLetters, 'dead letter');
}

function bytesOf({ message: { body } }: DeadLetter): Buffer {
  if (typeof body === 'string') return Buffer.from(body);
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

function showTime(isoTime: string | undefined): string {
  return isoTime === undefined ? '?' : isoTime.replace('T', ' ').replace(/(\.\d+)?Z$/, 'Z');
}

/** Timestamps in microseconds or nanoseconds, which some senders use, are too large for a date. */
function dateOf(timestamp: number): string {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? `${timestamp} ms after 1970, which is no date` : date.toISOString();
}
