/** The consumers that the backend knows. */
import type { ConsumerList, QueueConsumer } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { errorText } from '../../common/options.js';
import { age, number, time } from '../html/format.js';
import { type Html, html } from '../html/html.js';
import { emptyState, notice, type View, type ViewContext } from './view.js';

const SHOWN = 500;

export async function workersView(context: ViewContext): Promise<View> {
  const queue = context.query.get('f') ?? undefined;
  const body = html`<h1>Workers</h1>
${queue !== undefined && html`<p class="hint">Those of '${queue}'. <a href="${context.links.view('workers')}">All</a></p>`}
${await consumers(context, queue)}
${context.workers.errors.map((error) => notice(`The metrics of a worker can't be read: ${error}`))}`;
  return { title: 'Workers', tab: 'workers', body };
}

/** The consumers of one queue, or of all that the page shows. */
export async function consumers(context: ViewContext, queue: string | undefined): Promise<Html> {
  const { broker, sampler, wait } = context;
  let list: ConsumerList;
  try {
    list = await operatorOf(broker).consumers({ ...wait, queue, limit: SHOWN });
  } catch (error) {
    return notice(`Consumers can't be listed: ${errorText(error)}`);
  }
  const shown = list.consumers.filter((consumer) => sampler.shows(consumer.queue));
  if (shown.length === 0) {
    return emptyState('No consumers. To start one:', `millrace work -q ${queue ?? 'hello'}`);
  }
  const reasons = [...new Set(Object.values(list.unknown))];
  return html`<table class="wide"><thead><tr><th scope="col">queue</th><th scope="col">process</th><th scope="col">host</th><th scope="col">since</th><th scope="col" class="figure">in flight</th><th scope="col">last settled</th></tr></thead><tbody>
${shown.map((consumer) => row(context, consumer))}</tbody></table>
<p class="hint">In flight are the messages that a consumer is handling, and those delivered to it in advance. ${list.total > SHOWN && `The first ${SHOWN} of ${number(list.total)}. `}${reasons.length > 0 && `Not known for all: ${reasons.join('; ')}.`}</p>`;
}

function row({ links }: ViewContext, consumer: QueueConsumer): Html {
  const { queue, pid, host, connection, subscriptions, since, unsettled, settledAt } = consumer;
  const name = pid === undefined ? (connection ?? 'not known') : `process ${pid}`;
  const settled =
    settledAt === undefined ? 'not known' : html`${age(Date.now() - settledAt)} ago, ${time(settledAt)}`;
  return html`<tr data-row="${queue} ${host} ${name}"><th scope="row"><a href="${links.queue(queue)}">${queue}</a></th><td data-l="process">${name}${subscriptions > 1 && `, ${number(subscriptions)} subscriptions`}</td><td data-l="host">${host ?? 'not known'}</td><td data-l="since">${time(since)}</td><td data-l="in flight" class="figure">${number(unsettled)}</td><td data-l="last settled">${settled}</td></tr>
`;
}
