/** Answers the requests for the page: checks who asks, and passes them on to what reads or acts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText } from '../common/options.js';
import { Jobs } from './actions/jobs.js';
import type { AppParts } from './app-parts.js';
import { BrokerStatus } from './figures/broker-status.js';
import { Sampler } from './figures/sampler.js';
import { Workers } from './figures/workers.js';
import { html } from './html/html.js';
import type { Links } from './html/links.js';
import { ActionEndpoint } from './http/action-endpoint.js';
import { locate, sendHtml, sendJson, statusOf } from './http/exchange.js';
import { Live } from './http/live.js';
import { ViewEndpoint } from './http/view-endpoint.js';
import { DeadReader } from './messages/dead-reader.js';
import { plainPage } from './views/layout.js';

const SECURITY: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export class App {
  readonly #parts: AppParts;
  readonly #sampler: Sampler;
  readonly #jobs: Jobs;
  readonly #live: Live;
  readonly #views: ViewEndpoint;
  readonly #actions: ActionEndpoint;
  readonly #closed = new AbortController();

  constructor(parts: AppParts) {
    const { broker, queues, metrics, history } = parts;
    const { signal } = this.#closed;
    const workers = new Workers(metrics, broker.url, signal);
    const sampler = new Sampler(broker, queues, workers, history === 'always');
    const reader = new DeadReader(broker, signal, () => sampler.isSilent);
    const jobs = new Jobs(() => live.pushAll());
    const status = new BrokerStatus(broker, sampler);
    const live = new Live(sampler, { status: () => status.read(), jobs: () => jobs.views });
    const services = { sampler, workers, reader, jobs, live, status };
    this.#parts = parts;
    this.#sampler = sampler;
    this.#jobs = jobs;
    this.#live = live;
    this.#views = new ViewEndpoint(parts, services, signal);
    this.#actions = new ActionEndpoint(parts, services);
  }

  /** Never rejects. Destroys a response that another handler has begun. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    if (response.headersSent) {
      response.destroy();
      return;
    }
    for (const [name, value] of Object.entries(SECURITY)) response.setHeader(name, value);
    try {
      await this.#answer(request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else if (request.method === 'POST') sendJson(response, statusOf(error), { error: errorText(error) });
      else
        await sendHtml(
          request,
          response,
          statusOf(error),
          plainPage('Something went wrong', errorText(error)).text,
        );
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#live.close();
    this.#sampler.close();
    await this.#jobs.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    // A body that is not read, because the request is refused, must not keep the connection open.
    if (!isRead) response.setHeader('connection', 'close');
    if (this.#closed.signal.aborted) {
      return sendHtml(request, response, 503, plainPage('Closed', 'This page has been closed.').text);
    }
    const { path, query, links } = locate(request, this.#parts.path);
    const token = query.get('token');
    const { access } = this.#parts;
    const refusal = access.refusal(request);
    if (refusal?.status === 401 && isRead && token !== null && access.lets(token)) {
      return this.#letIn(request, response, links, path);
    }
    if (refusal !== undefined) {
      if (isRead)
        return sendHtml(request, response, refusal.status, plainPage(refusal.title, refusal.text).text);
      return sendJson(response, refusal.status, { error: refusal.text });
    }
    if (isRead && token !== null) return this.#letIn(request, response, links, path);
    if (request.method === 'POST') return this.#actions.answer(path, request, response);
    if (!isRead) return void response.writeHead(405, { allow: 'GET, HEAD, POST' }).end();
    return this.#views.answer({ path, query, links }, request, response);
  }

  /**
   * Does not redirect, since a browser that follows a link from another site would not send the cookie to the target. Removes
   * the token from the address and the history.
   */
  #letIn(request: IncomingMessage, response: ServerResponse, links: Links, path: string): Promise<void> {
    // The view that the browser asks for next need not wait for it.
    void this.#sampler.refresh();
    response.setHeader('set-cookie', this.#parts.access.cookie(links.base));
    // Two slashes would name another server.
    const target = `${links.base}/${path.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/^[\\/]+/, '')}`;
    const more = html`<meta http-equiv="refresh" content="0;url=${target}">`;
    return sendHtml(request, response, 200, plainPage('Welcome', 'You are signed in.', more).text);
  }
}
