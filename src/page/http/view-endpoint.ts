/** Answers requests that read: views, files, the stream of a view and the data of its charts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Broker } from '../../broker.js';
import { errorText } from '../../common/options.js';
import type { AppParts, AppServices } from '../app-parts.js';
import type { SampleError } from '../figures/sampler.js';
import { type Html, html } from '../html/html.js';
import { type Links, nameOf } from '../html/links.js';
import { deadView } from '../views/dead.js';
import { layout } from '../views/layout.js';
import { logView } from '../views/log.js';
import { messageBody, messageView } from '../views/message.js';
import { nowView } from '../views/now.js';
import { chartData, queueView } from '../views/queue.js';
import { schedulesView } from '../views/schedules.js';
import { emptyState, notice, type View, type ViewContext } from '../views/view.js';
import { workersView } from '../views/workers.js';
import { serveAsset } from './assets.js';
import { headersOf, type Place, sendHtml, sendJson, sendOutcomes, statusOf } from './exchange.js';

const ANSWER_LIMIT_MS = 10_000;
/** After this time the view says that the broker does not respond. */
const OUTAGE_LIMIT_MS = 1_000;

export class ViewEndpoint {
  readonly #parts: AppParts;
  readonly #services: AppServices;
  readonly #signal: AbortSignal;

  constructor(parts: AppParts, services: AppServices, signal: AbortSignal) {
    this.#parts = parts;
    this.#services = services;
    this.#signal = signal;
  }

  /** Answers `GET` and `HEAD`. */
  async answer(place: Place, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query, links } = place;
    const { live, jobs } = this.#services;
    const [, version, file] = /^\/assets\/(?:([\w-]+)\/)?([\w.]+)$/.exec(path) ?? [];
    if (file !== undefined && serveAsset(file, version, headersOf(request), response)) return;
    if (path === '/events') return live.open(query, request, response);
    const job = /^\/jobs\/([\w-]+)$/.exec(path)?.[1];
    if (job !== undefined) return sendOutcomes(response, jobs.find(job));
    const context = await this.#context(place);
    const [, part, action] = /^\/q\/([^/]+)(?:\/(chart|dead\/body))$/.exec(path) ?? [];
    const name = part === undefined ? undefined : nameOf(part);
    if (name !== undefined && action === 'chart') return sendJson(response, 200, chartData(context, name));
    if (name !== undefined && action === 'dead/body') return messageBody(context, name, response);
    const view = await this.#view(path, context).catch((error: unknown) => failed(error));
    await this.#sendView(view, links, request, response);
  }

  async #context({ query, links }: Place): Promise<ViewContext> {
    const { broker, audit, schedules, history, readOnly, hideBodies } = this.#parts;
    const { sampler, workers, reader, jobs } = this.#services;
    await sampler.refresh();
    const isAway = broker.outage !== undefined || sampler.isSilent;
    const wait = { signal: this.#signal, timeoutMs: isAway ? OUTAGE_LIMIT_MS : ANSWER_LIMIT_MS };
    return {
      broker,
      audit,
      schedules,
      history,
      readOnly,
      hideBodies,
      links,
      query,
      sampler,
      workers,
      reader,
      jobs,
      wait,
    };
  }

  async #view(path: string, context: ViewContext): Promise<View> {
    if (path === '/') return nowView(context);
    if (path === '/dead') return deadView(context, undefined);
    if (path === '/schedules') return schedulesView(context);
    if (path === '/workers') return workersView(context);
    if (path === '/log') return logView(context);
    const [, part, rest] = /^\/q\/([^/]+)(\/dead|\/dead\/message)?$/.exec(path) ?? [];
    const name = part === undefined ? undefined : nameOf(part);
    if (name !== undefined && rest === undefined) return queueView(context, name);
    if (name !== undefined && rest === '/dead') return deadView(context, name);
    if (name !== undefined) return messageView(context, name);
    const body = html`<h1>Page not found</h1>${emptyState(`There is no page at ${path}.`)}`;
    return { title: 'Page not found', tab: undefined, status: 404, body };
  }

  async #sendView(
    view: View,
    links: Links,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { broker, readOnly } = this.#parts;
    const { live, status, sampler } = this.#services;
    const stream = live.register(view.cells ?? (() => new Map()));
    const { state } = status.read();
    const error = sampler.error ?? outageOf(broker);
    const body = error === undefined ? view.body : html`${sampleNotice(error)}${view.body}`;
    const text = layout({ ...view, body }, { links, brokerUrl: broker.url, readOnly, stream, state }).text;
    await sendHtml(request, response, view.status ?? 200, text);
  }
}

/** An error in the frame of the page, which has links, and shows when the broker is back. */
function failed(error: unknown): View {
  const body = html`<h1>Something went wrong</h1>${notice(errorText(error), 'error')}<p><a href="" data-refresh>Try again</a></p>`;
  return { title: 'Something went wrong', tab: undefined, status: statusOf(error), body };
}

/** Known before the sample fails, which is still waiting for the broker. */
function outageOf({ outage }: Broker): Pick<SampleError, 'text' | 'isUnsupported'> | undefined {
  return outage && { text: outage.reason.message, isUnsupported: false };
}

/** Why there are no figures, or old ones. */
function sampleNotice({ text, isUnsupported }: Pick<SampleError, 'text' | 'isUnsupported'>): Html {
  if (!isUnsupported) return notice(`The broker is not responding: ${text}`, 'error');
  return notice(`${text}. Or name the queues to show: millrace ui -q orders -q mails`);
}
