/** Keeps the ticks, the focus and the opened messages of a view while its content is replaced. */

const TICKS = 'millrace-ticks';
const FOCUSABLE = 'a[href], button, input, select, summary, [tabindex]';

const boxes = (part: ParentNode) => [...part.querySelectorAll<HTMLInputElement>('input[data-id]')];
const rows = (part: ParentNode) => [...part.querySelectorAll<HTMLElement>('[data-row]')];

/** Returns a function that restores it in the new content of the part. */
export function keep(part: HTMLElement): () => void {
  const ids = new Set(ticks(part));
  const opened = new Set(rows(part).filter(isOpened).map(keyOf));
  const focused = placeOf(document.activeElement, part);
  return () => {
    tick(part, ids);
    for (const row of rows(part)) {
      const details = row.querySelector('details');
      if (details !== null && opened.has(keyOf(row))) details.open = true;
    }
    if (focused === undefined) return;
    const target = focused() ?? part;
    if (target.matches('[data-row]')) target.tabIndex = -1;
    target.focus({ preventScroll: true });
  };
}

/** Finds an element again after the content of the part was replaced; undefined if it is not in the part. */
export function placeOf(
  element: Element | null,
  part: HTMLElement,
): (() => HTMLElement | undefined) | undefined {
  if (element === null || !part.contains(element) || element === part) return undefined;
  const row = element.closest<HTMLElement>('[data-row]');
  if (row === null) {
    const label = labelOf(element);
    return () => [...part.querySelectorAll<HTMLElement>(FOCUSABLE)].find((one) => labelOf(one) === label);
  }
  const key = keyOf(row);
  const index = rows(part).indexOf(row);
  const within = [...row.querySelectorAll(FOCUSABLE)].indexOf(element);
  return () => {
    const all = rows(part);
    // The next one takes the place of one that is gone.
    const found = all.find((one) => keyOf(one) === key) ?? all[Math.min(index, all.length - 1)];
    return found?.querySelectorAll<HTMLElement>(FOCUSABLE)[within] ?? found;
  };
}

/** The ticks would be lost when the browser reloads the page, which is never cached. */
export function keepTicksOverReload(part: HTMLElement): void {
  addEventListener('pagehide', () => {
    store({ url: location.href, ids: ticks(part) });
  });
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  const { url, ids } = stored();
  if (navigation?.type === 'navigate' || url !== location.href) return;
  tick(part, new Set(ids));
}

function ticks(part: ParentNode): string[] {
  return boxes(part).flatMap(({ checked, dataset }) => (checked ? (dataset.id ?? []) : []));
}

function tick(part: ParentNode, ids: ReadonlySet<string>): void {
  for (const box of boxes(part)) if (ids.has(box.dataset.id ?? '')) box.checked = true;
}

function isOpened(row: HTMLElement): boolean {
  return row.querySelector('details[open]') !== null;
}

function keyOf(row: HTMLElement): string {
  return row.dataset.row ?? '';
}

/** A button whose words have changed keeps its key. */
function labelOf(element: Element): string {
  const named = ['data-key', 'name', 'href'].map((name) => element.getAttribute(name));
  return `${element.tagName} ${named.find((value) => value !== null) ?? element.textContent}`;
}

interface StoredTicks {
  readonly url?: string;
  readonly ids?: readonly string[];
}

function store(kept: StoredTicks): void {
  try {
    sessionStorage.setItem(TICKS, JSON.stringify(kept));
  } catch {
    // The browser forbids it.
  }
}

function stored(): StoredTicks {
  try {
    return JSON.parse(sessionStorage.getItem(TICKS) ?? '{}') as StoredTicks;
  } catch {
    return {};
  }
}
