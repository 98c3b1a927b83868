/** Dead letters: grouped by reason, and those of one group. */
import type { QueueInfo } from '../../broker.js';
import { errorText } from '../../common/options.js';
import { bytes, count, number, time } from '../html/format.js';
import { type Html, html } from '../html/html.js';
import { type DeadScan, deadLetterQueueOf, MAX_READ } from '../messages/dead-reader.js';
import { type DeadGroup, type DeadSummary, groupsOf } from '../messages/error-groups.js';
import { missingQueue } from './queue.js';
import {
  actionButton,
  addressFlag,
  emptyState,
  findQueue,
  json,
  notice,
  quoted,
  terminal,
  type View,
  type ViewContext,
} from './view.js';

const PAGE_SIZE = 100;
const MAX_GROUPS = 100;
const MAX_QUEUES = 20;

/** The dead letters of one queue, or of all. */
export async function deadView(context: ViewContext, name: string | undefined): Promise<View> {
  if (name === undefined) return allQueues(context);
  const info = await findQueue(context, name);
  if (info === undefined) return missingQueue(name);
  const { links, query, jobs } = context;
  const dead = deadLetterQueueOf(info);
  const heading = html`<h1>Dead letters of <a href="${links.queue(name)}">${name}</a></h1>`;
  const done = (body: Html): View => ({
    title: `Dead letters of ${name}`,
    tab: 'dead',
    body: html`${heading}${body}`,
  });
  if (dead === undefined) return done(emptyState(`'${name}' drops its dead letters: none are kept.`));
  let scan: DeadScan | undefined;
  try {
    // A job holds them, so on RabbitMQ a reader would find few.
    scan = jobs.isBusy(`dead ${dead}`) ? context.reader.lastOf(info) : await context.reader.read(info);
  } catch (error) {
    return done(notice(`The dead letters can't be read: ${errorText(error)}`, 'error'));
  }
  if (scan === undefined)
    return done(notice('A replay or drop is in progress. Come back when it has ended.'));
  if (scan.summaries.length === 0)
    return done(
      emptyState(
        `'${name}' has no dead letters. A message becomes one when its handler has failed at all of its attempts, or rejects it.`,
      ),
    );
  const group = query.get('group');
  const body =
    group === null
      ? groups(context, info, scan)
      : group === 'all'
        ? list(context, info, scan, undefined)
        : list(context, info, scan, group);
  return done(html`${busy(context, dead)}${body}<p class="hint">Read ${time(scan.at)}. <a href="" data-refresh>Read again</a>${scan.total > scan.summaries.length && ` The first ${number(scan.summaries.length)} of ${number(scan.total)}: no more than ${number(MAX_READ)}, or 64 MB, are read at once.`}</p>
${terminal(`millrace dlq list -q ${quoted(name)}${dead === `${name}.dead` ? '' : ` --dead-letter-queue ${quoted(dead)}`}${addressFlag(context.broker)}`)}`);
}

function busy({ jobs }: ViewContext, dead: string): Html | false {
  return (
    jobs.isBusy(`dead ${dead}`) && notice('A replay or drop is in progress: this list was read before it.')
  );
}

async function allQueues(context: ViewContext): Promise<View> {
  const { sampler, links, reader } = context;
  const failing = sampler.latest.queues
    .filter(({ dead = 0 }) => dead > 0)
    .sort((one, other) => (other.dead ?? 0) - (one.dead ?? 0));
  // All queues together have the limit of one.
  let room = MAX_READ;
  const sections = await Promise.all(
    failing.slice(0, MAX_QUEUES).map(async (info) => {
      const isRead = info.type === 'local' && (info.dead ?? 0) <= room;
      if (isRead) room -= info.dead ?? 0;
      const scan = isRead ? await reader.read(info).catch(() => undefined) : undefined;
      const found = scan === undefined ? [] : groupsOf(scan.summaries).slice(0, 5);
      return html`<section><h2><a href="${links.dead(info.name)}">${info.name}</a> <span data-s="bad">${number(info.dead)} dead</span></h2>${
        found.length > 0 &&
        html`<ul class="reasons">${found.map((group) => html`<li data-row="${info.name} ${group.key}"><a href="${links.dead(info.name, { group: group.key })}"><b>${number(group.count)}</b> ${group.reason}: ${group.text}</a></li>`)}</ul>`
      }</section>
`;
    }),
  );
  const unknown = sampler.latest.queues.find(({ unknown: { dead } }) => dead !== undefined)?.unknown.dead;
  const isUnread = failing.some(({ type }) => type !== 'local');
  const body = html`<h1>Dead letters</h1>
${sections.length === 0 ? emptyState('No queue has dead letters.') : sections}
${failing.length > MAX_QUEUES && html`<p class="hint">The ${MAX_QUEUES} queues with the most, of ${number(failing.length)}.</p>`}
${isUnread && html`<p class="hint">RabbitMQ has to deliver dead letters to show them. Open those of a queue to see why they died.</p>`}
${unknown !== undefined && html`<p class="hint">Of some queues it is not known: ${unknown}.</p>`}`;
  return { title: 'Dead letters', tab: 'dead', body };
}

/** Replay and drop of the matching ones: `which` selects them for the server, `what` describes them for the reader. */
function both(context: ViewContext, name: string, amount: number, which: object, what: string): Html {
  const detail = (verb: string) => `${count(amount, 'message')} ${what}. ${verb}`;
  const request = { queue: name, expected: amount, ...which };
  return html`${actionButton(context, {
    label: `Replay ${number(amount)}…`,
    title: `Replay ${count(amount, 'dead letter')} to '${name}'?`,
    detail: detail(
      'Each is stored in its queue before it is removed here, and begins with its first attempt. If a message fails again, it comes back here.',
    ),
    request: { action: 'replay', ...request },
    fields: ['to', 'rate'],
    key: 'r',
  })} ${actionButton(context, {
    label: `Drop ${number(amount)}…`,
    title: `Drop ${count(amount, 'dead letter')} of '${name}' for good?`,
    detail: detail("They can't be brought back."),
    request: { action: 'drop', ...request },
    isDangerous: true,
    key: 'd',
  })}`;
}

function groups(context: ViewContext, { name }: QueueInfo, { summaries }: DeadScan): Html {
  const { links } = context;
  const found = groupsOf(summaries);
  const row = ({ key, reason, text, count: amount, first, last }: DeadGroup) =>
    html`<tr data-row="${key}"><td data-l="count" class="figure">${number(amount)}</td><td data-l="reason"><span data-s="bad">${reason}</span></td><th scope="row"><a href="${links.dead(name, { group: key })}">${text === '' ? 'no error is recorded' : text}</a></th><td data-l="first">${time(first)}</td><td data-l="last">${time(last)}</td></tr>
`;
  return html`<div class="actions">${both(context, name, summaries.length, {}, 'are in the dead-letter queue')}</div>
<table class="wide"><caption class="quiet">By reason and error</caption><thead><tr><th scope="col" class="figure">count</th><th scope="col">reason</th><th scope="col">error</th><th scope="col">first</th><th scope="col">last</th></tr></thead><tbody>
${found.slice(0, MAX_GROUPS).map(row)}</tbody></table>
<p class="hint">${found.length > MAX_GROUPS && `The ${MAX_GROUPS} largest of ${number(found.length)} groups. `}Numbers, ids and quotes count as equal. <a href="${links.dead(name, { group: 'all' })}">All in the order of the queue</a></p>`;
}

function list(
  context: ViewContext,
  { name }: QueueInfo,
  { summaries }: DeadScan,
  key: string | undefined,
): Html {
  const { links, query } = context;
  const group = key === undefined ? undefined : groupsOf(summaries).find((one) => one.key === key);
  const back = html`<p><a href="${links.dead(name)}">All groups</a></p>`;
  if (key !== undefined && group === undefined)
    return html`${back}${emptyState('No dead letter of this group is left.')}`;
  const all = key === undefined ? summaries : summaries.filter((one) => one.group === key);
  const pages = Math.ceil(all.length / PAGE_SIZE);
  const page = Math.min(Math.max(1, Number.parseInt(query.get('page') ?? '1', 10) || 1), pages);
  const shown = all.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE);
  const what =
    group === undefined ? 'are in the dead-letter queue' : `failed as '${group.reason}: ${group.text}'`;
  const link = (to: number, label: string) =>
    html`<a href="${links.dead(name, { group: key ?? 'all', page: to })}">${label}</a>`;
  return html`${back}${group !== undefined && html`<h2><span data-s="bad">${group.reason}</span> ${group.text}</h2>`}
<div class="actions">${both(context, name, all.length, key === undefined ? {} : { group: key }, what)}
${actionButton(context, { label: 'Replay ticked…', title: `Replay {n} ticked dead letters to '${name}'?`, detail: 'Each is stored in its queue before it is removed here, and begins with its first attempt.', request: { action: 'replay', queue: name }, fields: ['to', 'rate'], ticked: true })}
${actionButton(context, { label: 'Drop ticked…', title: `Drop {n} ticked dead letters of '${name}' for good?`, detail: "They can't be brought back.", request: { action: 'drop', queue: name }, ticked: true, isDangerous: true })}</div>
<table class="wide"><thead><tr><th scope="col">${!context.readOnly && html`<input type="checkbox" data-tick-all aria-label="Tick all that are shown">`}</th><th scope="col">id</th><th scope="col">error</th><th scope="col" class="figure">attempts</th><th scope="col" class="figure">size</th><th scope="col">died</th></tr></thead><tbody>
${shown.map((one) => deadRow(context, name, one))}</tbody></table>
${pages > 1 && html`<nav class="pager" aria-label="Pages">${page > 1 && link(page - 1, 'Previous')}<span>Page ${page} of ${pages}, ${count(all.length, 'dead letter')}</span>${page < pages && link(page + 1, 'Next')}</nav>`}`;
}

function deadRow({ links, readOnly }: ViewContext, name: string, one: DeadSummary): Html {
  const { id, error, reason, attempts, bodyBytes, deadAt } = one;
  return html`<tr data-row="${id}"><td>${!readOnly && html`<input type="checkbox" data-id="${json(id)}" aria-label="Tick ${id}">`}</td><th scope="row"><a href="${links.queuePart(name, 'dead/message', { id })}"><code>${id}</code></a></th><td data-l="error">${error === '' ? reason : error}</td><td data-l="attempts" class="figure">${number(attempts)}</td><td data-l="size" class="figure">${bytes(bodyBytes)}</td><td data-l="died">${time(deadAt)}</td></tr>
`;
}
