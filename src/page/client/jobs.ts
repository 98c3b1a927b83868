/** The running jobs: their progress, a button to stop them, and their results. */
import type { JobView } from './job-view.js';
import { post } from './request.js';
import { base, element, find, numberText } from './visit.js';

/** The jobs of this tab, which stay until their results have been seen; and those of others. */
const mine = new Set<string>();
const dismissed = new Set<string>();
let onEnd: (job: JobView) => void = () => {};

export function whenEnded(listener: (job: JobView) => void): void {
  onEnd = listener;
}

/** A job of this tab, as it was when the server answered. The stream may have brought a later state of it before. */
export function follow(job: JobView): void {
  mine.add(job.id);
  const latest = known.get(job.id) ?? job;
  known.set(job.id, latest);
  if (latest.state === 'ended') onEnd(latest);
  draw();
}

let known = new Map<string, JobView>();

export function showJobs(jobs: readonly JobView[]): void {
  const before = known;
  known = new Map(jobs.map((job) => [job.id, job]));
  for (const job of jobs) {
    if (job.state === 'ended' && before.get(job.id)?.state !== 'ended' && mine.has(job.id)) onEnd(job);
  }
  draw();
}

function draw(): void {
  const place = find<HTMLElement>('#jobs');
  if (place === undefined) return;
  const shown = [...known.values()].filter(
    ({ id, state }) => !dismissed.has(id) && (state !== 'ended' || mine.has(id)),
  );
  // A button that has the focus keeps it.
  for (const old of [...place.children] as HTMLElement[]) {
    if (!shown.some(({ id }) => id === old.dataset.job)) old.remove();
  }
  for (const job of shown) update(rowOf(place, job), job);
}

function rowOf(place: HTMLElement, { id }: JobView): HTMLElement {
  const known = find<HTMLElement>(`[data-job="${CSS.escape(id)}"]`, place);
  if (known !== undefined) return known;
  const row = element('div', '', { 'data-job': id, class: 'job' });
  const stop = element('button', 'Stop', { type: 'button', class: 'plain', 'data-stop': '' });
  stop.addEventListener('click', () => void post(`/jobs/${id}/stop`, {}).catch(() => {}));
  const close = element('button', 'Close', { type: 'button', class: 'plain', 'data-close': '' });
  close.addEventListener('click', () => {
    dismissed.add(id);
    draw();
  });
  const all = element('a', 'The outcome of each', { href: `${base}/jobs/${id}`, download: '' });
  row.append(element('p', '', { role: 'status' }), element('progress'), stop, all, close);
  place.append(row);
  return row;
}

function update(row: HTMLElement, job: JobView): void {
  const { action, queue, expected, done, stay, state, text, ok } = job;
  const hasEnded = state === 'ended';
  const amount = `${numberText(done)} of ${numberText(expected)}${stay > 0 ? `, ${numberText(stay)} stay` : ''}`;
  const words = hasEnded ? text : state === 'running' ? amount : `${state}, ${amount}`;
  const line = `${action} '${queue}': ${words}`;
  const [status, progress] = [find<HTMLElement>('p', row), find<HTMLProgressElement>('progress', row)];
  if (status !== undefined && status.textContent !== line) status.textContent = line;
  row.dataset.s = hasEnded ? (ok ? 'ok' : 'warn') : 'running';
  if (progress !== undefined) {
    progress.max = Math.max(1, expected);
    progress.value = done + stay;
    progress.hidden = hasEnded;
  }
  for (const [selector, isShown] of [
    ['[data-stop]', !hasEnded],
    ['[data-close]', hasEnded],
    ['a', hasEnded],
  ] as const) {
    const part = find<HTMLElement>(selector, row);
    if (part !== undefined) part.hidden = !isShown;
  }
}
