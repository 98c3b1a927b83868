/** Who consumes, as far as the backend knows. */
import type { QueueInfo } from '../../broker.js';
import { operatorOf } from '../../common/options.js';
import { type Cell, type Cells, renderCell } from '../cells.js';
import { number } from '../format.js';
import { type Html, html } from '../html.js';
import { emptyState, type View, type ViewContext } from './view.js';

const MAX_QUEUES = 200;
/** Queues of which it is asked who holds which messages. */
const MAX_LOOKED_INTO = 50;
const HELD_LIMIT = 1000;

export async function workersView(context: ViewContext): Promise<View> {
  const { sampler, query } = context;
  const filter = query.get('f') ?? '';
  const consumed = sampler.latest.queues.filter(
    ({ name, consumers, unsettled = 0 }) => (consumers > 0 || unsettled > 0) && name.includes(filter),
  );
  const shown = consumed.slice(0, MAX_QUEUES);
  const holders = await Promise.all(
    shown.map((queue, index) => (index < MAX_LOOKED_INTO ? holdersOf(context, queue) : undefined)),
  );
  const names = shown.map(({ name }) => name);
  const cells = () => workerCells(context, names);
  const first = cells();
  const row = (name: string, index: number): Html =>
    html`<tr data-row><th scope="row"><a href="${context.links.queue(name)}">${name}</a></th><td data-l="consumers">${renderCell(`${index}.c`, first.get(`${index}.c`) as Cell)}</td><td data-l="handling">${renderCell(`${index}.u`, first.get(`${index}.u`) as Cell)}</td><td data-l="by whom">${holders[index] ?? 'not known'}</td></tr>
`;
  const body = html`<h1>Workers</h1>
${filter !== '' && html`<p class="hint">Queues with '${filter}' in their name. <a href="${context.links.view('workers')}">All</a></p>`}
${
  shown.length === 0
    ? emptyState('No queue has a consumer. A worker in a terminal:', 'millrace work -q hello')
    : html`<table class="wide"><thead><tr><th scope="col">queue</th><th scope="col">consumers</th><th scope="col">being handled</th><th scope="col">by whom</th></tr></thead><tbody>
${names.map(row)}</tbody></table>
<p class="hint">A local broker knows which process holds a message; RabbitMQ tells how many consumers a queue has, and who is connected in its own management page. ${consumed.length > shown.length && `The first ${MAX_QUEUES} of ${number(consumed.length)} queues with consumers.`}</p>`
}`;
  return { title: 'Workers', tab: 'workers', body, cells };
}

function workerCells({ sampler }: ViewContext, names: readonly string[]): Cells {
  const cells = new Map<string, Cell>();
  for (const [index, name] of names.entries()) {
    const queue = sampler.latest.byName.get(name);
    cells.set(`${index}.c`, { text: number(queue?.consumers) });
    cells.set(`${index}.u`, { text: number(queue?.unsettled), title: queue?.unknown.unsettled });
  }
  return cells;
}

/** `process 4711: 3, process 4712: 1`; undefined if it can't be known. */
async function holdersOf({ broker, wait }: ViewContext, queue: QueueInfo): Promise<string | undefined> {
  if (queue.type !== 'local') return undefined;
  if (queue.unsettled === 0) return 'nobody handles a message now';
  const options = { state: 'unsettled', limit: HELD_LIMIT, maxBodyBytes: 0, ...wait } as const;
  const held = await operatorOf(broker)
    .peek(queue.name, options)
    .catch(() => undefined);
  if (held === undefined) return undefined;
  const counts = new Map<string, number>();
  for (const { holder = 'not known' } of held.messages) counts.set(holder, (counts.get(holder) ?? 0) + 1);
  return [...counts].map(([holder, messages]) => `${holder}: ${number(messages)}`).join(', ');
}
