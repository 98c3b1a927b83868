/** Keeps the view up to date by one stream of events, and says when it is not. */
import type { JobView } from './job-view.js';
import { showJobs } from './jobs.js';
import { base, find, localTitle, timeText, visit } from './visit.js';

/** The server sends something at least every five seconds. */
const SILENT_MS = 15_000;
const AGAIN_MS = 2_000;

interface Status {
  readonly state: string;
  readonly since: number;
  readonly text: string;
}

let source: EventSource | undefined;
let openedAt = 0;
let name: string | undefined;
let lastEvent = Date.now();
/** When the link to the server was lost. */
let goneSince: number | undefined;
let status: Status | undefined;
/** The server responded, but not with a stream. */
let refusal = '';
let reloadedAt = 0;
/** The server has too many streams: the browser asks again after this time. */
let polledMs: number | undefined;

const BROWSER = 'millrace-browser';

/** Opens the stream of the view that is shown, unless it is open. A hidden tab has none: a browser opens few at once. */
export function follow(): void {
  if (source !== undefined && name === document.body.dataset.stream) return;
  source?.close();
  source = undefined;
  name = document.body.dataset.stream;
  if (name === undefined || document.visibilityState === 'hidden') return;
  const query = new URLSearchParams({ view: name, browser: browserId() });
  const opened = new EventSource(`${base}/events?${query}`);
  source = opened;
  openedAt = Date.now();
  const listen = (type: string, take: (data: unknown) => void) =>
    opened.addEventListener(type, (event) => {
      arrived();
      take(JSON.parse((event as MessageEvent<string>).data));
    });
  listen('status', (data) => showStatus(data as Status));
  listen('cells', (data) => showCells(data as Record<string, readonly [string, string, string]>));
  listen('jobs', (data) => showJobs(data as readonly JobView[]));
  listen('reload', () => reload());
  opened.addEventListener('open', () => {
    polledMs = undefined;
  });
  listen('polled', (data) => {
    polledMs = (data as { everyMs: number }).everyMs;
  });
  opened.addEventListener('error', () => {
    if (source !== opened) return;
    if (polledMs === undefined) lost();
    // The browser tries again on its own unless the server has refused.
    if (opened.readyState === EventSource.CLOSED) setTimeout(() => void again(opened), AGAIN_MS);
  });
}

export function watchSilence(): void {
  setInterval(() => {
    if (document.visibilityState !== 'visible' || Date.now() - lastEvent <= SILENT_MS) return;
    lost();
    // After a sleep, or behind a proxy, a connection may be gone without an end that the browser would notice.
    if (Date.now() - openedAt > SILENT_MS) reopen();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    lastEvent = Date.now();
    reopen();
  });
}

function reopen(): void {
  source?.close();
  source = undefined;
  follow();
}

/** Tells the server which tabs are of one browser. */
function browserId(): string {
  try {
    const id = localStorage.getItem(BROWSER) ?? Math.random().toString(36).slice(2);
    localStorage.setItem(BROWSER, id);
    return id;
  } catch {
    // The browser forbids it.
    return '';
  }
}

async function again(closed: EventSource): Promise<void> {
  try {
    const { status: code } = await fetch(`${base}/assets/icon.svg`, { method: 'HEAD', cache: 'no-store' });
    refusal =
      code === 401
        ? 'The page was restarted: open the URL that it printed.'
        : code >= 400
          ? `Its answer is ${code}.`
          : '';
  } catch {
    refusal = '';
  }
  if (source !== closed) return;
  source = undefined;
  showBar();
  follow();
}

function reload(): void {
  source?.close();
  source = undefined;
  // Not again so soon: the page would reload in a loop.
  if (Date.now() - reloadedAt < AGAIN_MS) {
    setTimeout(() => void visit(location.href), AGAIN_MS);
    return;
  }
  reloadedAt = Date.now();
  void visit(location.href);
}

function arrived(): void {
  lastEvent = Date.now();
  refusal = '';
  if (goneSince === undefined) return;
  goneSince = undefined;
  showBar();
}

function lost(): void {
  goneSince ??= lastEvent;
  showBar();
}

function showStatus(next: Status): void {
  const wasAway = find<HTMLElement>('#state')?.dataset.s === 'bad';
  status = next;
  showBar();
  // What could not be read before can be read now.
  const isBack = wasAway && next.state === 'connected';
  if (isBack && find('#main [data-until-back]') !== undefined) void visit(location.href);
}

function showBar(): void {
  const bar = find<HTMLElement>('#gone');
  const state = find<HTMLElement>('#state');
  if (bar === undefined || state === undefined) return;
  let text = '';
  if (goneSince !== undefined) {
    text = `No connection to the server since ${timeText(new Date(goneSince))}; the figures are from then. ${refusal || 'Trying again …'}`;
  } else if (status !== undefined && status.state !== 'connected') {
    const why = status.text === '' ? '' : `: ${status.text}`;
    text = `The broker has been unavailable (${status.state}) since ${timeText(new Date(status.since))}${why}`;
  }
  // A live region speaks whenever its text is set.
  if (bar.textContent !== text) bar.textContent = text;
  bar.hidden = text === '';
  document.body.classList.toggle('stale', text !== '');
  const word = goneSince === undefined ? (status?.state ?? state.textContent) : 'no link';
  if (state.textContent !== word) state.textContent = word;
  state.dataset.s = text === '' ? 'ok' : 'bad';
  const since = find<HTMLElement>('#since');
  const polled = polledMs === undefined ? '' : `, updated every ${polledMs / 1000} s: many tabs are open`;
  const words =
    text === '' && status !== undefined ? `since ${timeText(new Date(status.since))}${polled}` : '';
  if (since !== undefined && since.textContent !== words) since.textContent = words;
}

/** Only the changes; cells that are no longer shown are skipped. */
function showCells(cells: Record<string, readonly [string, string, string]>): void {
  for (const cell of document.querySelectorAll<HTMLElement | SVGElement>('[data-k]')) {
    const changed = cells[cell.dataset.k ?? ''];
    if (changed === undefined) continue;
    const [text, state, title] = changed;
    if (cell instanceof SVGElement) {
      cell.setAttribute('d', text);
      continue;
    }
    if (cell.textContent !== text) cell.textContent = text;
    if (state === '') delete cell.dataset.s;
    else cell.dataset.s = state;
    if (title === '') cell.removeAttribute('title');
    else cell.title = localTitle(title);
  }
}
