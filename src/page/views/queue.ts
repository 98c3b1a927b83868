/** One queue: its figures over time, its messages, and the actions on it. */
import type { MessageState, PeekedMessage, PeekPage, QueueInfo } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { errorText } from '../../common/options.js';
import { medianAge } from '../figures/attention.js';
import { MAX_CHARTED, type Span } from '../figures/history.js';
import { type Cell, type Cells, renderCell } from '../html/cells.js';
import { age, bytes, count, duration, number, rate, sinceText, time } from '../html/format.js';
import { type Html, html } from '../html/html.js';
import { deadLetterQueueOf } from '../messages/dead-reader.js';
import { body, definitions, failures, headers, properties } from './message-parts.js';
import { queueFigures } from './queue-figures.js';
import {
  actionButton,
  addressFlag,
  emptyState,
  findQueue,
  HANDLERS_UNKNOWN,
  notice,
  quoted,
  terminal,
  type View,
  type ViewContext,
} from './view.js';
import { consumers } from './workers.js';

const SHOWN = 25;
const SHOWN_BODY_BYTES = 2048;
const SPANS: readonly Span[] = ['15m', '3h', '24h'];
const TABS: readonly (readonly [MessageState, string])[] = [
  ['ready', 'Ready'],
  ['unsettled', 'Being handled'],
  ['delayed', 'Waiting'],
];

export async function queueView(context: ViewContext, name: string): Promise<View> {
  const info = await findQueue(context, name);
  if (info === undefined) return missingQueue(name);
  const { links, query } = context;
  const tab = TABS.find(([state]) => state === query.get('tab'))?.[0] ?? 'ready';
  const cells = () => figureCells(context, name);
  const first = cells();
  const figure = (key: string, label: string, href: string) => {
    const cell = renderCell(key, first.get(key) as Cell);
    return html`<div><dt>${label}</dt><dd><a href="${href}">${cell}</a></dd></div>`;
  };
  const view = html`<h1>${name} ${renderCell('why', first.get('why') as Cell)}</h1>
<dl class="strip">${figure('ready', 'ready', links.queue(name))}${figure('unsettled', 'being handled', links.queue(name, { tab: 'unsettled' }))}${figure('delayed', 'waiting', links.queue(name, { tab: 'delayed' }))}${figure('dead', 'dead', links.dead(name))}${figure('oldest', 'oldest ready', links.queue(name))}${figure('in', 'sent /s', '#charts')}${figure('out', 'handled /s', '#charts')}${figure('failed', 'failed /s', '#charts')}${figure('p95', 'handlers p95', '#charts')}${figure('consumers', 'consumers', links.view('workers', { f: name }))}</dl>
<div class="actions">${buttons(context, info)}</div>
${charts(context, info)}
<nav class="tabs" aria-label="Messages">${TABS.map(
    ([state, label]) =>
      html`<a href="${links.queue(name, { tab: state })}"${state === tab && html` aria-current="true"`}>${label} ${renderCell(`tab.${state}`, first.get(state) as Cell)}</a>`,
  )}<a href="${links.dead(name)}">Dead ${renderCell('tab.dead', first.get('dead') as Cell)}</a></nav>
${tab === 'unsettled' && (await consumers(context, name))}
${await messages(context, info, tab)}
${facts(info)}`;
  return { title: name, tab: undefined, body: view, cells, hasCharts: true };
}

export function missingQueue(name: string): View {
  const text = `There is no queue '${name}'. The first program that uses it creates it:`;
  const body = html`<h1>${name}</h1>${emptyState(text, `millrace send -q ${quoted(name)} ${quoted('Hello World!')}`)}`;
  return { title: name, tab: undefined, status: 404, body };
}

/** The part that the page's script draws. */
export function chartData({ sampler, query }: ViewContext, name: string): object {
  const span = SPANS.find((one) => one === query.get('span')) ?? '15m';
  const data = sampler.history.chart(name, span);
  return { span, ...(data ?? { names: [], times: [], fields: [] }) };
}

function figureCells({ sampler, workers }: ViewContext, name: string): Cells {
  const cells = new Map<string, Cell>();
  const put = (key: string, cell: Cell) => cells.set(key, cell);
  const { failed, p95 } = workers.figuresOf(name) ?? {};
  const title = workers.areKnown
    ? ['Of all workers over the last minute', ...workers.errors].join('; ')
    : HANDLERS_UNKNOWN;
  put('failed', { text: rate(failed), state: failed !== undefined && failed > 0 ? 'bad' : undefined, title });
  put('p95', { text: duration(p95), title });
  const median = medianAge(sampler.latest.queues);
  for (const [key, cell] of queueFigures(sampler, name, median)) put(key, cell);
  for (const key of ['ready', 'unsettled', 'delayed', 'dead']) put(`tab.${key}`, cells.get(key) as Cell);
  return cells;
}

function buttons(
  context: ViewContext,
  { name, ready, paused, consumers = 0, unsettled = 0, type }: QueueInfo,
): Html {
  if (context.readOnly) return html`<p class="hint">This page is read-only.</p>`;
  const pausing = paused
    ? actionButton(context, {
        label: 'Resume',
        title: `Resume '${name}'?`,
        detail: `Its ${count(consumers, 'consumer')} get messages again: ${number(ready)} are ready.`,
        request: { action: 'resume', queue: name },
        key: 'p',
      })
    : actionButton(context, {
        label: 'Pause',
        title: `Pause '${name}'?`,
        detail: `Its ${count(consumers, 'consumer')}, in all processes, get no further messages until it is resumed. The ${number(unsettled)} being handled are finished; ${number(ready)} ready ones wait.`,
        request: { action: 'pause', queue: name },
        key: 'p',
      });
  return html`${type === 'local' ? pausing : html`<span class="hint">RabbitMQ can't pause a queue for all consumers.</span>`}
${actionButton(context, {
  label: 'Move…',
  title: `Move ${count(ready, 'ready message')} of '${name}'?`,
  detail:
    'Each is stored in the other queue before it is removed from this one. It begins there with its first attempt.',
  request: { action: 'move', queue: name, expected: ready },
  fields: ['to'],
})}
${actionButton(context, {
  label: 'Purge…',
  title: `Remove all ready messages of '${name}' for good?`,
  detail: `${number(ready)} were ready when this page was shown. They are not handled and can't be brought back. Messages being handled, waiting and dead stay.`,
  request: { action: 'purge', queue: name },
  isDangerous: true,
})}`;
}

function charts(context: ViewContext, { name, unknown }: QueueInfo): Html {
  const { sampler, workers, links, query, history } = context;
  const span = SPANS.find((one) => one === query.get('span')) ?? '15m';
  const choice = (one: Span) =>
    html`<a href="${links.queue(name, { tab: query.get('tab') ?? undefined, span: one === '15m' ? undefined : one })}"${one === span && html` aria-current="true"`}>${one.replace('m', ' min').replace('h', ' h')}</a>`;
  const isKept = sampler.history.chart(name, span) !== undefined;
  if (!isKept)
    return html`<p class="hint">Charts begin with the first message, for the first ${number(MAX_CHARTED)} queues that have one.</p>`;
  return html`<section class="charts" id="charts" data-charts="${links.queuePart(name, 'chart', { span })}" aria-label="Charts"><nav class="tabs" aria-label="Time">${SPANS.map(choice)}</nav>
<figure><figcaption>messages</figcaption><div data-chart="amounts" role="img" aria-label="Messages over time: ready, being handled, waiting, dead; the figures above are the latest"></div></figure>
<figure><figcaption>per second</figcaption>${unknown.rates === undefined ? html`<div data-chart="rates" role="img" aria-label="Messages per second over time: sent, handled, dead; the figures above are the latest"></div>` : html`<p class="hint">Not known: ${unknown.rates}.</p>`}</figure>
<figure><figcaption>seconds that handlers take</figcaption>${workers.areKnown ? html`<div data-chart="durations" role="img" aria-label="How long handlers take over time: p50, p95, p99; the figures above are the latest"></div>` : html`<p class="hint">${HANDLERS_UNKNOWN}.</p>`}</figure>
${workers.errors.map((error) => notice(`The metrics of a worker can't be read: ${error}`))}
<p class="hint">Kept by this page's process since ${time(sampler.history.since)}${history === 'watched' && ', while the page is open; with millrace ui --keep-history, also while it is closed'}. A line is broken where nothing is known.</p></section>`;
}

async function messages(context: ViewContext, info: QueueInfo, tab: MessageState): Promise<Html> {
  const { links, query, broker } = context;
  const { name, type } = info;
  if (type !== 'local') {
    if (tab !== 'ready') {
      const known =
        tab === 'unsettled'
          ? 'only their consumers know which ones they are'
          : 'they wait where no consumer can read them until they are due';
      const why = info.unknown[tab] ?? `Their number is known; ${known}`;
      return notice(`RabbitMQ can't show these messages. ${why}.`);
    }
    if (query.get('look') !== '1') {
      return html`<div class="empty"><p>RabbitMQ has to deliver messages to show them: consumers miss them for a moment, and then receive them marked as redelivered.</p><p><a class="button" href="${links.queue(name, { look: 1 })}">Show the first ${SHOWN}</a></p></div>`;
    }
  }
  let page: PeekPage;
  try {
    const after = query.get('after') ?? undefined;
    const options = { state: tab, limit: SHOWN, maxBodyBytes: SHOWN_BODY_BYTES, after, ...context.wait };
    page = await operatorOf(broker).peek(name, options);
  } catch (error) {
    return notice(`These messages can't be shown: ${errorText(error)}`, 'error');
  }
  if (page.messages.length === 0) return nothing(context, info, tab);
  const next =
    page.next === undefined
      ? false
      : html`<a href="${links.queue(name, { tab, after: page.next })}" rel="next">Next ${SHOWN}</a>`;
  return html`<ol class="messages">${page.messages.map((message) => peeked(context, message))}</ol>${tab === 'unsettled' && html`<p class="hint">Held since they were delivered to their process, which may handle others first.</p>`}<p class="pager">${next}</p>
${terminal(`millrace peek ${quoted(name)} --state ${tab}${addressFlag(broker)}`)}`;
}

function nothing({ broker }: ViewContext, { name, paused }: QueueInfo, tab: MessageState): Html {
  if (tab === 'unsettled') return emptyState('No message is being handled.');
  if (tab === 'delayed') return emptyState('No message waits for a retry or for its time.');
  if (paused) return emptyState('No message is ready, and the queue is paused.');
  return emptyState(
    'No message is ready.',
    `millrace send -q ${quoted(name)} ${quoted('Hello World!')}${addressFlag(broker)}`,
  );
}

function peeked({ hideBodies }: ViewContext, one: PeekedMessage): Html {
  const { message, attempt, holder, heldSince, dueAt, redelivered, bodyBytes } = one;
  const { error } = { error: message.headers['x-millrace-error'] };
  return html`<li data-row="${message.id}"><details><summary><code>${message.id}</code> <span class="hint">${bytes(bodyBytes)}${message.type !== undefined && html`, ${message.type}`}${attempt > 1 && `, attempt ${attempt}`}${redelivered && ', redelivered'}${holder !== undefined && `, ${holder}`}</span>${heldSince !== undefined && held(heldSince)}${dueAt !== undefined && html` <span>due ${time(dueAt)}</span>`}${typeof error === 'string' && html` <span data-s="warn">${error.split('\n', 1)[0]?.slice(0, 200)}</span>`}</summary>
${failures(message)}${properties(message, bodyBytes)}${hideBodies ? html`<p class="hint">Headers and bodies are hidden on this page.</p>` : html`<h3>Headers</h3>${headers(message)}<h3>Body</h3>${body(message, bodyBytes)}`}</details></li>`;
}

/** As of now: it may be settled at any time, so the page's stream must not let it grow. */
function held(since: number): Html {
  const ms = Math.max(0, Date.now() - since);
  return html` <span title="${sinceText(Date.now(), ms)}">held for ${age(ms)}</span>`;
}

function facts(info: QueueInfo): Html {
  const { type, capacity, exclusive, autoDelete, unknown } = info;
  const known = [
    ['type', type ?? 'not known'],
    [
      'capacity',
      capacity === undefined
        ? 'not known'
        : capacity === Number.POSITIVE_INFINITY
          ? 'no limit'
          : count(capacity, 'message'),
    ],
    ['dead letters go to', deadLetterQueueOf(info) ?? 'nowhere: they are dropped'],
    ['size of the bodies', info.bytes === undefined ? 'not known' : bytes(info.bytes)],
    ['exclusive', exclusive === undefined ? 'not known' : exclusive ? 'yes' : 'no'],
    ['deleted when unused', autoDelete === undefined ? 'not known' : autoDelete ? 'yes' : 'no'],
  ] as const;
  const reasons = [...new Set(Object.values(unknown))];
  return html`<details class="more"><summary>Properties of this queue</summary>${definitions(known)}${reasons.length > 0 && html`<p class="hint">Not known: ${reasons.join('; ')}.</p>`}</details>`;
}
