/** Answers the requests for the page. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Broker } from '../broker.js';
import { errorText } from '../common/options.js';
import type { Schedule } from '../schedules/schedule.js';
import type { Access } from './access.js';
import { type ActionRequest, actAtOnce, parseAction, planOf } from './actions.js';
import { serveAsset } from './assets.js';
import type { Audit } from './audit.js';
import { DeadReader } from './dead-reader.js';
import { type Html, html } from './html.js';
import { BadRequest, headersOf, readJson, sendHtml, sendJson, sendOutcomes, statusOf } from './http.js';
import { Jobs } from './jobs.js';
import { Links, nameOf } from './links.js';
import { Live, type Status } from './live.js';
import type { PageRequest } from './page.js';
import { type SampleError, Sampler } from './sampler.js';
import { deadView } from './views/dead.js';
import { layout, plainPage } from './views/layout.js';
import { logView } from './views/log.js';
import { messageBody, messageView } from './views/message.js';
import { nowView } from './views/now.js';
import { chartData, queueView } from './views/queue.js';
import { schedulesView } from './views/schedules.js';
import { emptyState, notice, type View, type ViewContext } from './views/view.js';
import { workersView } from './views/workers.js';

const ANSWER_LIMIT_MS = 10_000;
/** While the broker is away, an operator sees that instead of nothing. */
const OUTAGE_LIMIT_MS = 1_000;

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

export interface AppParts {
  readonly broker: Broker;
  readonly access: Access;
  readonly audit: Audit;
  readonly queues: readonly string[] | undefined;
  readonly schedules: readonly Schedule[];
  readonly readOnly: boolean;
  readonly hideBodies: boolean;
  readonly path: string;
  readonly user: (request: PageRequest) => string;
}

export class App {
  readonly #parts: AppParts;
  readonly #sampler: Sampler;
  readonly #reader: DeadReader;
  readonly #jobs: Jobs;
  readonly #live: Live;
  readonly #closed = new AbortController();
  /** Since when the broker has been in its last known state. */
  #since = Date.now();
  #state: string | undefined;

  constructor(parts: AppParts) {
    this.#parts = parts;
    this.#sampler = new Sampler(parts.broker, parts.queues);
    this.#reader = new DeadReader(parts.broker, this.#closed.signal);
    this.#jobs = new Jobs(() => this.#live.pushAll());
    this.#live = new Live(this.#sampler, { status: () => this.#status(), jobs: () => this.#jobs.views });
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
    if (this.#closed.signal.aborted) {
      return sendHtml(request, response, 503, plainPage('Closed', 'This page has been closed.').text);
    }
    const { path, query, links } = this.#locate(request);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
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
    if (request.method === 'POST') return this.#post(path, request, response);
    if (!isRead) return void response.writeHead(405, { allow: 'GET, HEAD, POST' }).end();
    return this.#get(path, query, links, request, response);
  }

  /** Express and Connect have removed a part of `url`; Express has it as `baseUrl`. */
  #locate(request: IncomingMessage): { path: string; query: URLSearchParams; links: Links } {
    const { originalUrl, baseUrl } = request as { originalUrl?: string; baseUrl?: string };
    const { url = '/' } = request;
    const [whole = '/', search = ''] = (originalUrl ?? url).split(/\?(.*)/s, 2);
    const mount = baseUrl ?? removed(whole, url.split('?', 1)[0] ?? '/');
    // A proxy may have removed a part of the path that browsers need.
    const path = below(this.#parts.path, whole) ?? below(mount, whole) ?? whole;
    return { path, query: new URLSearchParams(search), links: new Links(this.#parts.path || mount) };
  }

  /**
   * Not by a redirect: a browser that follows a link from another site would not send the cookie to its target. Removes
   * the token from the address and the history.
   */
  #letIn(request: IncomingMessage, response: ServerResponse, links: Links, path: string): Promise<void> {
    response.setHeader('set-cookie', this.#parts.access.cookie(links.base));
    // Two slashes would name another server.
    const target = `${links.base}/${path.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/^[\\/]+/, '')}`;
    const more = html`<meta http-equiv="refresh" content="0;url=${target}">`;
    return sendHtml(request, response, 200, plainPage('Welcome', 'You are signed in.', more).text);
  }

  async #get(
    path: string,
    query: URLSearchParams,
    links: Links,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const file = /^\/assets\/([\w.]+)$/.exec(path)?.[1];
    if (file !== undefined && serveAsset(file, headersOf(request), response)) return;
    if (path === '/events') return this.#live.open(query.get('view') ?? '', request, response);
    const job = /^\/jobs\/([\w-]+)$/.exec(path)?.[1];
    if (job !== undefined) return sendOutcomes(response, this.#jobs.find(job));
    const context = await this.#context(query, links);
    const [, part, action] = /^\/q\/([^/]+)(?:\/(chart|dead\/body))$/.exec(path) ?? [];
    const name = part === undefined ? undefined : nameOf(part);
    if (name !== undefined && action === 'chart') return sendJson(response, 200, chartData(context, name));
    if (name !== undefined && action === 'dead/body') return messageBody(context, name, response);
    const view = await this.#view(path, context).catch((error: unknown) => failed(error));
    await this.#sendView(view, links, request, response);
  }

  async #context(query: URLSearchParams, links: Links): Promise<ViewContext> {
    await this.#sampler.refresh();
    const { broker, audit, schedules, readOnly, hideBodies } = this.#parts;
    return {
      broker,
      audit,
      schedules,
      readOnly,
      hideBodies,
      links,
      query,
      sampler: this.#sampler,
      reader: this.#reader,
      jobs: this.#jobs,
      wait: {
        signal: this.#closed.signal,
        timeoutMs: broker.outage === undefined ? ANSWER_LIMIT_MS : OUTAGE_LIMIT_MS,
      },
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
    const stream = this.#live.register(view.cells ?? (() => new Map()));
    const { state } = this.#status();
    const { error } = this.#sampler;
    const body = error === undefined ? view.body : html`${sampleNotice(error)}${view.body}`;
    const text = layout({ ...view, body }, { links, brokerUrl: broker.url, readOnly, stream, state }).text;
    await sendHtml(request, response, view.status ?? 200, text);
  }

  async #post(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const stopped = /^\/jobs\/([\w-]+)\/stop$/.exec(path)?.[1];
    if (path !== '/actions' && stopped === undefined) return sendJson(response, 404, { error: 'not here' });
    if (this.#parts.readOnly) return sendJson(response, 403, { error: 'this page is read-only' });
    if (stopped !== undefined) {
      this.#jobs.find(stopped)?.stop();
      this.#live.pushAll();
      return sendJson(response, 200, { text: 'stopping' });
    }
    const action = parseAction(await readJson(request));
    const user = this.#parts.user(request as unknown as PageRequest);
    if (this.#parts.queues !== undefined) this.#checkShown(action);
    try {
      const done = await actAtOnce(this.#parts.broker, action);
      if (done === undefined) return await this.#startJob(action, user, response);
      this.#record(user, action.action, action.queue, done, true);
      await this.#sampler.renew();
      sendJson(response, 200, { text: `'${action.queue}': ${done}` });
    } catch (error) {
      this.#record(user, action.action, action.queue, errorText(error), false);
      throw error;
    }
  }

  async #startJob(action: ActionRequest, user: string, response: ServerResponse): Promise<void> {
    const { broker } = this.#parts;
    const info = await this.#sampler.find(action.queue);
    if (info === undefined) return sendJson(response, 404, { error: `there is no queue '${action.queue}'` });
    const job = this.#jobs.start(planOf(broker, action, info), ({ plan, view }) => {
      this.#record(user, plan.action, plan.queue, view.text, view.ok);
      this.#reader.forget(info);
      void this.#sampler.renew();
    });
    if (job === undefined)
      return sendJson(response, 429, { error: 'too many jobs are running: wait, or stop one' });
    sendJson(response, 202, { job: job.view });
  }

  #checkShown({ queue, to }: ActionRequest): void {
    const shown = this.#parts.queues ?? [];
    for (const name of [queue, ...(to === undefined ? [] : [to])]) {
      if (!shown.includes(name)) throw new BadRequest(403, `'${name}' is not one of the queues of this page`);
    }
  }

  #record(user: string, action: string, queue: string, outcome: string, ok: boolean): void {
    this.#parts.audit.add({ user, action, queue, outcome, ok });
  }

  #status(): Status {
    const { broker } = this.#parts;
    const { error } = this.#sampler;
    const state = error === undefined || error.isUnsupported ? broker.state : 'no answer';
    if (this.#state !== undefined && this.#state !== state) this.#since = Date.now();
    this.#state = state;
    const failedSince = error === undefined || error.isUnsupported ? undefined : error.since;
    return {
      state,
      since: broker.outage?.since ?? failedSince ?? this.#since,
      text: error?.text ?? broker.outage?.reason.message ?? '',
    };
  }
}

/** The part of a path of which only `rest` is left. */
function removed(whole: string, rest: string): string {
  if (whole.endsWith(rest)) return whole.slice(0, -rest.length);
  return rest === '/' ? whole : '';
}

/** The part of a path below another, with its slash; undefined if it is not below it. */
function below(base: string, path: string): string | undefined {
  if (path === base) return '/';
  return base !== '' && path.startsWith(`${base}/`) ? path.slice(base.length) : undefined;
}

/** In the frame of the page: it leads elsewhere, and says when the broker is back. */
function failed(error: unknown): View {
  const body = html`<h1>Something went wrong</h1>${notice(errorText(error), 'error')}<p><a href="" data-refresh>Try again</a></p>`;
  return { title: 'Something went wrong', tab: undefined, status: statusOf(error), body };
}

/** Why there are no figures, or old ones. */
function sampleNotice({ text, isUnsupported }: SampleError): Html {
  if (!isUnsupported) return notice(`The broker is not responding: ${text}`, 'error');
  return notice(`${text}. Or name the queues to show: millrace ui -q orders -q mails`);
}
