/** A message in HTML: its properties, headers and body. */
import type { HeaderValue, Message } from '../../broker.js';
import { bytes, time } from '../html/format.js';
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

export function headers({ headers: values }: Message): Html {
  const rows = Object.entries(values);
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
