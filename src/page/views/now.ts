/** The first view: the state of the broker, and its queues, those that need attention first. */
import type { QueueInfo } from '../../broker.js';
import { measuredLabel } from '../../common/hooks/tracing.js';
import { attentionOf, medianAge } from '../figures/attention.js';
import { type Cell, type Cells, renderCell } from '../html/cells.js';
import { age, count, number, rate, sparkPath, UNKNOWN } from '../html/format.js';
import { type Html, html } from '../html/html.js';
import type { Query } from '../html/links.js';
import { queueFigures } from './queue-figures.js';
import {
  addressFlag,
  emptyState,
  HANDLERS_UNKNOWN,
  notice,
  quoted,
  type View,
  type ViewContext,
} from './view.js';

const PAGE_SIZE = 50;
/** Older figures are shown with their age: the broker responds slowly, or not at all. */
const OLD_MS = 10_000;
const ORDERS = ['attention', 'name', 'ready', 'dead', 'oldest', 'in', 'out'] as const;
type Order = (typeof ORDERS)[number];

interface Choice {
  readonly filter: string;
  readonly order: Order;
  readonly all: boolean;
  readonly page: number;
}

export function nowView(context: ViewContext): View {
  const { query, links } = context;
  const choice = choiceOf(query);
  const matching = inOrder(context, chosen(context, choice), choice.order);
  const pages = Math.max(1, Math.ceil(matching.length / PAGE_SIZE));
  const page = Math.min(choice.page, pages);
  const shown = matching.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE).map(({ name }) => name);
  const known = new Set(matching.map(({ name }) => name));
  const addedCell = (): Cell => {
    const added = chosen(context, choice).filter(({ name }) => !known.has(name)).length;
    return { text: added === 0 ? '' : `${count(added, 'new queue')}.`, state: 'warn' };
  };
  const cells = () =>
    new Map([...stripCells(context), ...tableCells(context, shown), ['list.added', addedCell()]]);
  const body = html`<h1 class="quiet">Now</h1>
${strip(context)}
<form class="bar" role="search" action="${links.now()}" data-filter>
<label>Filter <kbd>/</kbd> <input type="search" name="f" value="${choice.filter}" autocomplete="off" spellcheck="false"></label>
<label>Order <select name="order">${ORDERS.map((order) => html`<option${order === choice.order && html` selected`}>${order}</option>`)}</select></label>
<label><input type="checkbox" name="all" value="1"${choice.all && html` checked`}> all queues</label>
<button type="submit" class="plain">Show</button>
</form>
<div id="list">${
    shown.length === 0
      ? nothing(context, choice)
      : html`${table(context, shown, choice)}${pager(context, choice, page, pages, matching.length)}`
  }<p class="hint">${pages === 1 && shown.length > 0 && `${count(matching.length, 'queue')}. `}${renderCell('list.added', { text: '', state: 'warn' })} <a href="" data-refresh>Order again</a></p></div>`;
  return { title: 'Now', tab: 'now', body, cells };
}

function choiceOf(query: URLSearchParams): Choice {
  const order = query.get('order') as Order;
  return {
    filter: (query.get('f') ?? '').slice(0, 255),
    order: ORDERS.includes(order) ? order : 'attention',
    all: query.get('all') === '1',
    page: Math.max(1, Number.parseInt(query.get('page') ?? '1', 10) || 1),
  };
}

/** Hides dead-letter queues, which are a figure of their queues, and the toolkit's internal queues. */
function chosen({ sampler }: ViewContext, { filter, all }: Choice): readonly QueueInfo[] {
  const { queues } = sampler.latest;
  const text = filter.toLowerCase();
  const matching = queues.filter(({ name }) => name.toLowerCase().includes(text));
  if (all) return matching;
  const { deadLetterQueues: dead } = sampler.latest;
  return matching.filter(
    ({ name, internal, consumers }) => !internal && !(dead.has(name) && consumers === 0),
  );
}

function inOrder({ sampler }: ViewContext, queues: readonly QueueInfo[], order: Order): readonly QueueInfo[] {
  if (order === 'name') return queues;
  const median = medianAge(queues);
  const key = (queue: QueueInfo): number => {
    if (order === 'attention') return attentionOf(queue, sampler.history, median).rank;
    if (order === 'in' || order === 'out') return queue.rates?.[order] ?? 0;
    return (order === 'oldest' ? queue.oldestAgeMs : queue[order]) ?? 0;
  };
  const keys = new Map(queues.map((queue) => [queue, key(queue)]));
  return queues.toSorted((one, other) => (keys.get(other) ?? 0) - (keys.get(one) ?? 0));
}

function stripCells({ sampler, workers }: ViewContext): Cells {
  const { latest, history } = sampler;
  const dead = history.newDead(latest.at);
  // A message that dies is not sent twice.
  const own = latest.queues.filter(({ name, internal }) => !internal && !latest.deadLetterQueues.has(name));
  const known = own.filter(({ rates }) => rates !== undefined);
  const why = latest.queues.find(({ unknown }) => unknown.rates !== undefined)?.unknown.rates;
  const sum = (direction: 'in' | 'out'): Cell =>
    known.length === 0
      ? { text: UNKNOWN, title: why }
      : { text: rate(known.reduce((total, { rates }) => total + (rates?.[direction] ?? 0), 0)) };
  const ready = own.reduce((total, queue) => total + queue.ready, 0);
  const hourMs = 3_600_000;
  const oldMs = latest.at === 0 ? 0 : Date.now() - latest.at;
  const watched =
    dead.ms === hourMs
      ? 'the last hour'
      : `${age(dead.ms)}, ${dead.ms < hourMs ? 'since this page runs' : 'of which the page was closed for some time'}`;
  return new Map<string, Cell>([
    ['strip.queues', { text: number(own.length) }],
    ['strip.in', sum('in')],
    ['strip.out', sum('out')],
    ['strip.failed', failedCell(workers, latest.queues)],
    ['strip.ready', { text: number(ready) }],
    [
      'strip.dead',
      { text: number(dead.count), state: dead.count > 0 ? 'bad' : undefined, title: `in ${watched}` },
    ],
    ['strip.deadIn', { text: dead.ms === hourMs ? 'dead in the last hour' : `dead in ${age(dead.ms)}` }],
    ['strip.parked', { text: latest.parked > 0 ? `plus ${number(latest.parked)} delayed` : '' }],
    ['strip.old', { text: oldMs > OLD_MS ? `These figures are ${age(oldMs)} old.` : '', state: 'warn' }],
  ]);
}

function failedCell(workers: ViewContext['workers'], queues: readonly QueueInfo[]): Cell {
  if (!workers.areKnown) return { text: UNKNOWN, title: HANDLERS_UNKNOWN };
  const failing = [...workers.figures].filter(([, figures]) => figures.failed > 0);
  // Workers may have other queues, too.
  const shown = new Set(failing.length === 0 ? [] : queues.map(({ name }) => measuredLabel(name)));
  const failed = failing.reduce((sum, [name, figures]) => sum + (shown.has(name) ? figures.failed : 0), 0);
  const title = ['Attempts, over the last minute', ...workers.errors].join('; ');
  return { text: rate(failed), state: failed > 0 ? 'bad' : undefined, title };
}

function strip(context: ViewContext): Html {
  const { links } = context;
  const cells = stripCells(context);
  const figure = (key: string, label: string | Html, href: string) =>
    html`<div><dt>${label}</dt><dd><a href="${href}">${renderCell(key, cells.get(key) as Cell)}</a></dd></div>`;
  const by = (order: Order) => links.now({ order });
  const deadLabel = renderCell('strip.deadIn', cells.get('strip.deadIn') as Cell);
  return html`<dl class="strip">${figure('strip.queues', 'queues', by('name'))}${figure('strip.in', 'sent /s', by('in'))}${figure('strip.out', 'handled /s', by('out'))}${figure('strip.failed', 'failed /s', links.view('workers'))}${figure('strip.ready', 'ready', by('ready'))}${figure('strip.dead', deadLabel, links.view('dead'))}</dl>
<p class="hint">${renderCell('strip.parked', cells.get('strip.parked') as Cell)} ${renderCell('strip.old', cells.get('strip.old') as Cell)}</p>`;
}

const COLUMNS: readonly (readonly [key: string, title: string])[] = [
  ['ready', 'ready'],
  ['unsettled', 'handling'],
  ['delayed', 'waiting'],
  ['dead', 'dead'],
  ['oldest', 'oldest'],
  ['in', 'in/s'],
  ['out', 'out/s'],
  ['spark', '15 min'],
  ['consumers', 'consumers'],
];

function tableCells({ sampler }: ViewContext, shown: readonly string[]): Cells {
  const { latest, history } = sampler;
  const median = medianAge(latest.queues);
  const cells = new Map<string, Cell>();
  for (const [row, name] of shown.entries()) {
    for (const [column, cell] of queueFigures(sampler, name, median)) cells.set(`${row}.${column}`, cell);
    const spark = latest.byName.has(name) ? sparkPath(history.spark(name)) : '';
    cells.set(`${row}.spark`, { text: spark, isLine: true });
  }
  return cells;
}

function table(context: ViewContext, shown: readonly string[], choice: Choice): Html {
  const { links } = context;
  const cells = tableCells(context, shown);
  const target = (name: string, column: string): string => {
    if (column === 'dead') return links.dead(name);
    if (column === 'consumers') return links.view('workers', { f: name });
    const tab = ['ready', 'unsettled', 'delayed'].includes(column) ? column : undefined;
    return links.queue(name, { tab: tab === 'ready' ? undefined : tab });
  };
  const cell = (name: string, row: number, [column, title]: readonly [string, string]) => {
    const href = column === 'spark' ? undefined : target(name, column);
    const shownCell = renderCell(`${row}.${column}`, cells.get(`${row}.${column}`) as Cell, href);
    return html`<td data-c="${column}" data-l="${title}">${shownCell}</td>`;
  };
  const row = (name: string, index: number) =>
    html`<tr data-row="${name}"><th scope="row"><a href="${links.queue(name)}">${name}</a> ${renderCell(`${index}.why`, cells.get(`${index}.why`) as Cell)}</th>${COLUMNS.map((column) => cell(name, index, column))}</tr>
`;
  return html`<table class="queues"><caption class="quiet">Queues by ${choice.order}</caption><thead><tr><th scope="col">queue</th>${COLUMNS.map(([key, title]) => html`<th scope="col" data-c="${key}">${title}</th>`)}</tr></thead><tbody>
${shown.map(row)}</tbody></table>`;
}

function pager({ links }: ViewContext, choice: Choice, page: number, pages: number, total: number): Html {
  const { filter, order, all } = choice;
  const query = (to: number): Query => ({
    f: filter,
    order: order === 'attention' ? undefined : order,
    all: all ? 1 : undefined,
    page: to === 1 ? undefined : to,
  });
  if (pages === 1) return html``;
  return html`<nav class="pager" aria-label="Pages">${page > 1 && html`<a href="${links.now(query(page - 1))}" rel="prev">Previous</a>`}<span>Page ${page} of ${pages}, ${count(total, 'queue')}</span>${page < pages && html`<a href="${links.now(query(page + 1))}" rel="next">Next</a>`}</nav>`;
}

function nothing({ sampler, broker }: ViewContext, { filter }: Choice): Html {
  if (filter !== '' && sampler.latest.queues.length > 0)
    return emptyState(`No queue has '${filter}' in its name.`);
  if (sampler.error !== undefined)
    return notice(`The queues can't be listed: ${sampler.error.text}`, 'error');
  return emptyState(
    `${broker.url} has no queues yet. The first program that uses a queue creates it:`,
    `millrace send -q hello ${quoted('Hello World!')}${addressFlag(broker)}`,
  );
}
