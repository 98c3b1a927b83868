/** The schedules that the page was given. */
import { createScheduler, type ScheduleInfo } from '../../schedules/scheduler.js';
import { time } from '../html/format.js';
import { html } from '../html/html.js';
import { emptyState, type View, type ViewContext } from './view.js';

export async function schedulesView(context: ViewContext): Promise<View> {
  const { broker, schedules, wait } = context;
  const infos = schedules.length === 0 ? [] : await createScheduler(broker, schedules).list(wait);
  const body = html`<h1>Schedules</h1>
${infos.length === 0 ? nothing() : table(context, infos)}`;
  return { title: 'Schedules', tab: 'schedules', body };
}

function nothing() {
  const text =
    "Schedules are defined in programs, so the broker can't list them. Name the module that exports them:";
  return emptyState(text, 'millrace ui --schedules ./schedules.js');
}

function table({ links }: ViewContext, infos: readonly ScheduleInfo[]) {
  const runs = ({ isHeld }: ScheduleInfo) => (isHeld === undefined ? 'not known' : isHeld ? 'yes' : 'no');
  const target = ({ queue, event }: ScheduleInfo) =>
    queue === undefined
      ? `${event?.topic}: ${event?.name}`
      : html`<a href="${links.queue(queue)}">${queue}</a>`;
  return html`<table class="wide"><thead><tr><th scope="col">schedule</th><th scope="col">times</th><th scope="col">next</th><th scope="col">last</th><th scope="col">a scheduler runs it</th><th scope="col">sends to</th></tr></thead><tbody>
${infos.map(
  (info) =>
    html`<tr data-row="${info.name}"><th scope="row">${info.name}</th><td data-l="times">${info.timing}</td><td data-l="next">${time(info.next?.getTime())}</td><td data-l="last">${time(info.last?.getTime())}</td><td data-l="runs">${runs(info)}</td><td data-l="sends to">${target(info)}</td></tr>
`,
)}</tbody></table>
<p class="hint">On RabbitMQ only the scheduler that holds a schedule knows its last tick; on a local broker any number of schedulers share it, and their number is unknown.</p>`;
}
