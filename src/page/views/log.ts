/** The actions taken on this page. */
import { time } from '../html/format.js';
import { html } from '../html/html.js';
import { emptyState, type View, type ViewContext } from './view.js';

export function logView({ audit, readOnly }: ViewContext): View {
  const { entries } = audit;
  const empty = readOnly
    ? 'This page is read-only: actions are disabled.'
    : 'No actions yet. Each pause, purge, move, replay and drop is listed here, and on standard error of the page’s process.';
  const body = html`<h1>Log</h1>
${
  entries.length === 0
    ? emptyState(empty)
    : html`<p class="hint">The actions on this page since its process started; the last 1000 entries.</p>
<table class="wide"><thead><tr><th scope="col">when</th><th scope="col">who</th><th scope="col">what</th><th scope="col">queue</th><th scope="col">outcome</th></tr></thead><tbody>
${entries.map(
  ({ at, user, action, queue, outcome, ok }) =>
    html`<tr data-row="${at.getTime()}"><td data-l="when">${time(at.getTime())}</td><td data-l="who">${user}</td><td data-l="what">${action}</td><td data-l="queue">${queue}</td><td data-l="outcome"><span data-s="${ok ? 'ok' : 'warn'}">${ok ? 'done' : 'not all'}</span> ${outcome}</td></tr>
`,
)}</tbody></table>`
}`;
  return { title: 'Log', tab: 'log', body };
}
