/** One dead letter: its failure, its content, and the actions on it. */
import type { ServerResponse } from 'node:http';
import type { QueueInfo } from '../../broker.js';
import type { DeadLetter } from '../../dead-letters/dead-letter.js';
import { number, time } from '../html/format.js';
import { type Html, html } from '../html/html.js';
import { deadLetterQueueOf } from '../messages/dead-reader.js';
import { body, definitions, failures, headers, properties } from './message-parts.js';
import { missingQueue } from './queue.js';
import {
  actionButton,
  addressFlag,
  emptyState,
  findQueue,
  quoted,
  terminal,
  type View,
  type ViewContext,
} from './view.js';

/** The rest can be downloaded. */
const SHOWN_BODY_BYTES = 64 * 1024;

export async function messageView(context: ViewContext, name: string): Promise<View> {
  const { links, query, reader } = context;
  const info = await findQueue(context, name);
  if (info === undefined) return missingQueue(name);
  const id = query.get('id') ?? '';
  const found = await reader.find(info, id, SHOWN_BODY_BYTES);
  const back = html`<p><a href="${links.dead(name)}">Dead letters of ${name}</a></p>`;
  if (found === undefined) {
    const beyond =
      info.type === 'local' ? '' : ', or lies beyond the first 64 MB, and no more are read at once';
    const text = `The dead letter ${id} was not found: it was replayed or dropped${beyond}. (A message that was sent without an id gets a new one each time it is read.)`;
    const gone = html`<h1>Dead letter</h1>${back}${emptyState(text)}`;
    return { title: 'Gone', tab: 'dead', status: 404, body: gone };
  }
  const { deadLetter, bodyBytes } = found;
  return { title: id, tab: 'dead', body: html`${back}${letter(context, info, deadLetter, bodyBytes)}` };
}

function letter(context: ViewContext, info: QueueInfo, deadLetter: DeadLetter, bodyBytes: number): Html {
  const { links, broker, hideBodies } = context;
  const { name } = info;
  const { id, reason, error, firstError, attempts, deadAt, queue, message } = deadLetter;
  const request = { queue: name, ids: [id], expected: 1 };
  const dead = deadLetterQueueOf(info);
  const flags = ` -q ${quoted(name)}${dead === `${name}.dead` ? '' : ` --dead-letter-queue ${quoted(dead ?? '')}`}${addressFlag(broker)}`;
  const download = html`<a href="${links.queuePart(name, 'dead/body', { id })}" download>Download the whole body</a>`;
  return html`<h1><code>${id}</code> <span data-s="bad">${reason}</span></h1>
<div class="actions">${actionButton(context, { label: 'Replay…', title: `Replay 1 dead letter to '${name}'?`, detail: 'It is stored in its queue before it is removed here, and begins with its first attempt.', request: { action: 'replay', ...request }, fields: ['to'], key: 'r' })}
${actionButton(context, { label: 'Drop…', title: `Drop 1 dead letter of '${name}' for good?`, detail: "It can't be brought back.", request: { action: 'drop', ...request }, isDangerous: true, key: 'd' })}</div>
<h2>Why it failed</h2>
${error === '' ? html`<p class="hint">No error is recorded.</p>` : html`<pre class="body error">${error}</pre>`}
${firstError !== '' && firstError !== error && html`<h3>At its first attempt</h3><pre class="body error">${firstError}</pre>`}
${failures(message)}
${definitions([
  ['attempts', number(attempts)],
  ['sent', time(message.timestamp)],
  ['died', time(deadAt === undefined ? undefined : Date.parse(deadAt))],
  ['came from', queue ?? 'not known'],
])}
<p class="hint">A dead letter carries its first and its last error, up to 1000 characters of each, a line about its first attempt and the last nine, and the beginning of the last stack, unless its consumer has <code>errorStacks: false</code>.</p>
<h2>Message</h2>${properties(message, bodyBytes)}
${
  hideBodies
    ? html`<p class="hint">Headers and bodies are hidden on this page.</p>`
    : html`<h2>Headers</h2>${headers(message)}<h2>Body</h2>${body(message, bodyBytes, download)}`
}
${terminal(`millrace dlq show ${quoted(id)}${flags}`)}
${terminal(`millrace dlq replay ${quoted(id)}${flags}`)}`;
}

/** Answers with the whole body, as a file. */
export async function messageBody(
  context: ViewContext,
  name: string,
  response: ServerResponse,
): Promise<void> {
  const info = await findQueue(context, name);
  const id = context.query.get('id') ?? '';
  const isHidden = context.hideBodies || info === undefined;
  const found = isHidden ? undefined : await context.reader.find(info, id, Number.MAX_SAFE_INTEGER);
  if (found === undefined) {
    const text = context.hideBodies ? 'Bodies are hidden on this page.' : 'This dead letter is gone.';
    response.writeHead(context.hideBodies ? 403 : 404, { 'content-type': 'text/plain' }).end(text);
    return;
  }
  response
    .writeHead(200, {
      'content-type': 'application/octet-stream',
      // The name is generated: an id may contain anything.
      'content-disposition': 'attachment; filename="message-body"',
    })
    .end(found.deadLetter.message.body);
}
