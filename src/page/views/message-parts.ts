/** A message in HTML: its properties, headers and body. */
import type { HeaderValue, Message } from '../../broker.js';
import {
  type AttemptFailure,
  FAILURES,
  failuresIn,
  STACK,
  stackIn,
} from '../../common/message/failure-headers.js';
import { bytes, number, time } from '../html/format.js';
import { type Html, html, type Part } from '../html/html.js';
import { bodyText } from '../messages/body-text.js';

const PROPERTIES = [
  'contentType',
  'contentEncoding',
  'type',
  'appId',
  'userId',
  'priority',
  'persistent',
  'correlationId',
  'replyTo',
] as const;

export function properties(message: Message, bodyBytes: number): Html {
  const { timestamp, expiresAt, origin } = message;
  const rows: [string, Part][] = [['id', message.id]];
  if (timestamp !== undefined) rows.push(['sent', time(timestamp)]);
  for (const name of PROPERTIES) {
    const value = message[name];
    if (value !== undefined && value !== '') rows.push([name, String(value)]);
  }
  if (expiresAt !== undefined) rows.push(['expires', time(expiresAt)]);
  if (origin !== undefined)
    rows.push(['published to', `exchange '${origin.exchange}', key '${origin.routingKey}'`]);
  rows.push(['size', bytes(bodyBytes)]);
  return definitions(rows);
}

export function definitions(rows: readonly (readonly [string, Part])[]): Html {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** How the attempts failed, and the stack of the last error. */
export function failures({ headers: values }: Message): Html {
  const list = failuresIn(values);
  const stack = stackIn(values);
  return html`${stack !== undefined && html`<h3>Stack</h3><pre class="body" tabindex="0">${stack}</pre>`}
${list.length > 0 && html`<h3>Attempts</h3><table class="wide"><thead><tr><th scope="col">failed</th><th scope="col" class="figure">attempt</th><th scope="col">process</th><th scope="col">error</th></tr></thead><tbody>${list.map(failureRow)}</tbody></table>`}`;
}

function failureRow({ attempt, at, host, pid, error }: AttemptFailure): Html {
  const process = [host, pid].filter((part) => part !== undefined).join(', ');
  return html`
<tr><th scope="row">${time(Date.parse(at))}</th><td data-l="attempt" class="figure">${number(attempt)}</td><td data-l="process">${process === '' ? 'not known' : process}</td><td data-l="error">${error}</td></tr>`;
}

/** All but those that {@link failures} shows. */
export function headers({ headers: values }: Message): Html {
  const hasStack = stackIn(values) !== undefined;
  const hasFailures = failuresIn(values).length > 0;
  const rows = Object.entries(values).filter(
    ([name]) => !(name === STACK && hasStack) && !(name === FAILURES && hasFailures),
  );
  if (rows.length === 0) return html`<p class="hint">none</p>`;
  return definitions(rows.map(([name, value]) => [name, headerText(value)]));
}

function headerText(value: HeaderValue): string {
  if (typeof value === 'string') return value;
  const text = JSON.stringify(value, (_, part) => {
    if (typeof part === 'bigint') return String(part);
    return part instanceof Uint8Array ? `bytes ${Buffer.from(part).toString('hex')}` : part;
  });
  return text ?? String(value);
}

/** `more` says how to get the rest of a cut body. */
export function body({ body: content }: Message, bodyBytes: number, more?: Html): Html {
  const isWhole = Buffer.byteLength(content) >= bodyBytes;
  const { kind, text } = bodyText(content, isWhole);
  const cut = isWhole ? '' : `, the first ${bytes(Buffer.byteLength(content))} of ${bytes(bodyBytes)}`;
  return html`<p class="hint">${kind}${cut}. ${more}</p><pre class="body" tabindex="0">${text}</pre>`;
}
