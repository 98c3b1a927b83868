/** The keyboard: moves among the rows, opens one, and presses the buttons that have a key. */
import { ticked } from './actions.js';
import { element, find } from './visit.js';

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'filter the queues'],
  ['j  k', 'next, previous row'],
  ['Enter', 'open the row'],
  ['x', 'tick the row'],
  ['r', 'replay'],
  ['d', 'drop'],
  ['p', 'pause or resume'],
  ['?', 'this help'],
  ['Esc', 'leave'],
];

const rows = () => [...document.querySelectorAll<HTMLElement>('[data-row]')];

function current(): HTMLElement | undefined {
  return document.activeElement?.closest<HTMLElement>('[data-row]') ?? undefined;
}

export function startKeys(): void {
  find('#help')?.addEventListener('click', showHelp);
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || find('dialog[open]') !== undefined) return;
    const at = event.target as HTMLElement;
    if (at.matches('input[type=search]') && event.key === 'Escape') at.blur();
    if (at.matches('input:not([type=checkbox]), select, textarea')) return;
    if (press(event.key, at)) event.preventDefault();
  });
}

/** Whether the key has a meaning here. */
function press(key: string, at: HTMLElement): boolean {
  if (key === '/') return focus(find<HTMLElement>('input[type=search]'));
  if (key === '?') return showHelp();
  if (key === 'j' || key === 'k') return move(key === 'j' ? 1 : -1);
  if (key === 'Enter') return at.matches('[data-row]') && open(at);
  if (key === 'x') return tick();
  if (key === 'r' || key === 'd' || key === 'p') return push(key);
  return false;
}

function focus(target: HTMLElement | undefined): boolean {
  target?.focus();
  return target !== undefined;
}

function move(step: number): boolean {
  const all = rows();
  const from = current();
  const index = from === undefined ? (step > 0 ? 0 : all.length - 1) : all.indexOf(from) + step;
  const target = all[index];
  if (target === undefined) return false;
  target.tabIndex = -1;
  target.focus();
  target.scrollIntoView({ block: 'nearest' });
  return true;
}

function open(row: HTMLElement): boolean {
  const target = find<HTMLElement>('th a, summary, a', row);
  target?.click();
  return target !== undefined;
}

function tick(): boolean {
  const row = current();
  const box = row && find<HTMLInputElement>('input[data-id]', row);
  box?.click();
  return box !== undefined;
}

/** Ticked rows take precedence over shown ones. */
function push(key: string): boolean {
  const action = key === 'r' ? 'replay' : key === 'd' ? 'drop' : undefined;
  const ofTicked = [...document.querySelectorAll<HTMLElement>('[data-ticked]')].find(
    ({ dataset }) => JSON.parse(dataset.do ?? '{}').action === action,
  );
  const button = (ticked().length > 0 ? ofTicked : undefined) ?? find<HTMLElement>(`[data-key="${key}"]`);
  button?.click();
  return button !== undefined;
}

function showHelp(): true {
  const dialog = find<HTMLDialogElement>('#dialog') as HTMLDialogElement;
  const form = element('form', '', { method: 'dialog' });
  const list = element('dl', '', { class: 'keys' });
  for (const [key, what] of KEYS) {
    const entry = element('div');
    const name = element('dt');
    name.append(element('kbd', key));
    entry.append(name, element('dd', what));
    list.append(entry);
  }
  const actions = element('div', '', { class: 'actions' });
  actions.append(element('button', 'Close', { type: 'submit', class: 'primary' }));
  form.append(element('h2', 'Keys', { id: 'dialog-title' }), list, actions);
  dialog.replaceChildren(form);
  dialog.showModal();
  return true;
}
