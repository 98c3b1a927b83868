/** Shows another state of the page and keeps the scroll position: the frame stays, its content is replaced. */
import { keep } from './keep.js';

export const base = document.body.dataset.base ?? '';

/** Called after each change of the content. */
const listeners: (() => void)[] = [];

export function onShown(listener: () => void): void {
  listeners.push(listener);
}

export function shown(): void {
  for (const listener of listeners) listener();
}

export function find<T extends Element>(selector: string, within: ParentNode = document): T | undefined {
  return within.querySelector<T>(selector) ?? undefined;
}

/** An element with a text, which is never read as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  text = '',
  attributes: Readonly<Record<string, string>> = {},
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

let latest = 0;

/** `part`: the element whose content is replaced, if both states have it; else the whole view. */
export async function visit(url: string, part = '#main'): Promise<void> {
  const turn = ++latest;
  let text: string;
  try {
    const response = await fetch(url, { headers: { accept: 'text/html' } });
    text = await response.text();
  } catch {
    // The bar says that the connection is lost.
    return;
  }
  if (turn !== latest) return;
  // Everything in it was escaped by the server, and scripts in it do not run.
  const next = new DOMParser().parseFromString(text, 'text/html');
  const [from, to] = [find(part, next), find<HTMLElement>(part)];
  const stream = next.body.dataset.stream;
  if (from === undefined || to === undefined || stream === undefined) {
    location.reload();
    return;
  }
  const restore = keep(to);
  to.replaceChildren(...from.childNodes);
  // The figures above the list belong to the view as well.
  if (part !== '#main') {
    for (const strip of document.querySelectorAll('.strip')) {
      const other = find('.strip', next);
      if (other !== undefined) strip.replaceChildren(...other.childNodes);
    }
  }
  document.body.dataset.stream = stream;
  history.replaceState(undefined, '', url);
  shown();
  restore();
}

/** Separates thousands by thin spaces from five digits on, as the server does. */
export function numberText(value: number): string {
  const digits = String(value);
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, '\u2009');
}

const DAY_MS = 86_400_000;
const format: Intl.DateTimeFormatOptions = {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
  timeZoneName: 'short',
};

/** Shows times in the reader's time zone, with its name, and with the day unless it is today. */
export function timeText(at: Date): string {
  const isRecent = Math.abs(Date.now() - at.getTime()) < DAY_MS && at.getDate() === new Date().getDate();
  const day = { day: 'numeric', month: 'short' } as const;
  const year = at.getFullYear() === new Date().getFullYear() ? {} : ({ year: 'numeric' } as const);
  return at.toLocaleString('en-GB', isRecent ? format : { ...day, ...year, ...format });
}

export function localTimes(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.textContent = timeText(at);
    time.title = at.toISOString();
  }
  for (const element of document.querySelectorAll<HTMLElement>('[title$=" UTC"]'))
    element.title = localTitle(element.title);
}

/** A tooltip with its times, which the server writes in UTC, in the reader's time zone. */
export function localTitle(title: string): string {
  return title.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/g, (text, day, time) => {
    const at = new Date(`${day}T${time}Z`);
    return Number.isNaN(at.getTime()) ? text : timeText(at);
  });
}
