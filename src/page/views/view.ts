/** Shared parts of the page's views. */
import type { Broker, QueueInfo } from '../../broker.js';
import type { Schedule } from '../../schedules/schedule.js';
import type { Audit } from '../actions/audit.js';
import type { Jobs } from '../actions/jobs.js';
import type { Sampler } from '../figures/sampler.js';
import type { Workers } from '../figures/workers.js';
import type { Cells } from '../html/cells.js';
import { type Html, html } from '../html/html.js';
import type { Links } from '../html/links.js';
import type { DeadReader } from '../messages/dead-reader.js';

/** Why a figure of handlers is missing. */
export const HANDLERS_UNKNOWN =
  'Failed attempts and handler times are known to the workers: millrace ui --metrics http://HOST:PORT/metrics, where each runs as millrace work --http PORT';

export interface ViewContext {
  readonly broker: Broker;
  readonly sampler: Sampler;
  readonly workers: Workers;
  readonly reader: DeadReader;
  readonly jobs: Jobs;
  readonly audit: Audit;
  readonly schedules: readonly Schedule[];
  /** When figures are collected for the charts. */
  readonly history: 'watched' | 'always';
  readonly readOnly: boolean;
  readonly hideBodies: boolean;
  readonly links: Links;
  readonly query: URLSearchParams;
  /** The limits of requests to the broker. */
  readonly wait: { readonly signal: AbortSignal; readonly timeoutMs: number };
}

export interface View {
  readonly title: string;
  readonly body: Html;
  /** The part of the page that the view belongs to. */
  readonly tab: 'now' | 'dead' | 'schedules' | 'workers' | 'log' | undefined;
  /** The part that is updated while it is open. */
  readonly cells?: () => Cells;
  /** Default: 200. */
  readonly status?: number;
  /** Whether it draws charts. */
  readonly hasCharts?: boolean;
}

/** The action of a button, see the script of the page. */
export interface Ask {
  readonly label: string;
  readonly title: string;
  readonly detail: string;
  readonly request: object;
  /** An additional input. */
  readonly fields?: readonly ('to' | 'rate')[];
  /** The messages are those whose boxes are ticked. */
  readonly ticked?: boolean;
  readonly isDangerous?: boolean;
  /** The key that presses it. */
  readonly key?: string;
}

/** A button with a confirmation; nothing on a read-only page. */
export function actionButton({ readOnly }: ViewContext, ask: Ask): Html | false {
  if (readOnly) return false;
  const { label, title, detail, request, fields = [], ticked = false, isDangerous = false, key } = ask;
  return html`<button type="button" class="${isDangerous ? 'danger' : 'plain'}" data-ask="${title}" data-detail="${detail}" data-do="${json(request)}" data-fields="${fields.join(' ')}"${ticked && html` data-ticked`}${key !== undefined && html` data-key="${key}" aria-keyshortcuts="${key}"`}>${label}${key !== undefined && html` <kbd aria-hidden="true">${key}</kbd>`}</button>`;
}

/** JSON in ASCII, which the escaping of text does not change. */
export function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function emptyState(text: string, command?: string): Html {
  return html`<div class="empty"><p>${text}</p>${command !== undefined && html`<pre><code>${command}</code></pre>`}</div>`;
}

/** `tone`: `error` is spoken at once by screen readers; the script shows the view again when the broker is back. */
export function notice(text: string, tone: 'info' | 'error' = 'info'): Html {
  return html`<p class="notice ${tone}"${tone === 'error' && html` role="alert" data-until-back`}>${text}</p>`;
}

/** The current state of the queue; undefined if it does not exist. */
export function findQueue({ sampler }: ViewContext, name: string): Promise<QueueInfo | undefined> {
  return sampler.find(name);
}

/** The command that does the same in a terminal. */
export function terminal(command: string): Html {
  return html`<p class="terminal"><span>In a terminal:</span> <code>${command}</code></p>`;
}

/**
 * The address flag for a command; for RabbitMQ, none: the password has been removed, so the address comes from the
 * environment.
 */
export function addressFlag(broker: Broker): string {
  return broker.url.startsWith('local:/') ? ` -u ${quoted(broker.url)}` : '';
}

/** Quoted for a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
