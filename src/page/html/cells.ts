/** Texts in a view that are updated in place. */
import { type Html, html } from './html.js';

export interface Cell {
  readonly text: string;
  /** Its colour; the text or a word next to it says the same. */
  readonly state?: 'bad' | 'warn' | 'ok' | 'off' | undefined;
  /** The tooltip. */
  readonly title?: string | undefined;
  /** `text` is the path of a line. */
  readonly isLine?: boolean;
}

/** The cells of a view by their keys. */
export type Cells = ReadonlyMap<string, Cell>;

/** A cell in the initial HTML of a view; `href`: it is a link, which the tabulator key skips. */
export function renderCell(key: string, { text, state, title, isLine }: Cell, href?: string): Html {
  if (isLine === true)
    return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"><path data-k="${key}" d="${text}"/></svg>`;
  const rest = html` data-k="${key}"${state !== undefined && html` data-s="${state}"`}${title !== undefined && html` title="${title}"`}>${text}</`;
  return href === undefined ? html`<span${rest}span>` : html`<a href="${href}" tabindex="-1"${rest}a>`;
}

/** A cell as the script of the page gets it: text, state, title. */
export type SentCell = readonly [text: string, state: string, title: string];

/** The differences from the cells sent before, which are updated. */
export function changedCells(cells: Cells, sent: Map<string, string>): Record<string, SentCell> {
  // Not by assignment, since a plain object has inherited names.
  const changed: [string, SentCell][] = [];
  for (const [key, { text, state = '', title = '' }] of cells) {
    const line = `${text}\0${state}\0${title}`;
    if (sent.get(key) === line) continue;
    sent.set(key, line);
    changed.push([key, [text, state, title]]);
  }
  return Object.fromEntries(changed);
}
