/** The dialog that confirms an action. */
import type { JobView } from './job-view.js';
import { follow, whenEnded } from './jobs.js';
import { placeOf } from './keep.js';
import { post } from './request.js';
import { element, find, visit } from './visit.js';

const FIELDS: Readonly<Record<string, { label: string; hint: string; type: string }>> = {
  to: { label: 'To the queue', hint: '', type: 'text' },
  rate: { label: 'At most, per second', hint: 'empty: as fast as it can', type: 'number' },
};

const dialog = () => find<HTMLDialogElement>('#dialog') as HTMLDialogElement;

export function toast(text: string): void {
  const place = find<HTMLElement>('#toast');
  if (place === undefined) return;
  place.textContent = text;
  setTimeout(() => {
    if (place.textContent === text) place.textContent = '';
  }, 8000);
}

export function ticked(): string[] {
  return [...document.querySelectorAll<HTMLInputElement>('input[data-id]:checked')].map(
    (box) => JSON.parse(box.dataset.id ?? '""') as string,
  );
}

export function startActions(): void {
  whenEnded((job) => {
    toast(job.text);
    if (!dialog().open) void visit(location.href);
  });
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLElement>('[data-ask]');
    if (button !== null) ask(button);
  });
  document.addEventListener('change', (event) => {
    const box = event.target as HTMLInputElement;
    if (!box.matches('[data-tick-all]')) return;
    for (const one of document.querySelectorAll<HTMLInputElement>('input[data-id]'))
      one.checked = box.checked;
  });
}

function ask(button: HTMLElement): void {
  const { ask: title = '', detail = '', do: request = '{}', fields = '' } = button.dataset;
  const values = JSON.parse(request) as Record<string, unknown>;
  const ids = ticked();
  const isTicked = button.dataset.ticked !== undefined;
  if (isTicked && ids.length === 0) {
    toast('Tick some messages first.');
    return;
  }
  if (isTicked) Object.assign(values, { ids, expected: ids.length });
  const isDangerous = button.classList.contains('danger');
  const form = element('form', '', { method: 'dialog' });
  const question = title.replace('{n}', String(ids.length));
  const heading = element('h2', question, { id: 'dialog-title' });
  form.append(heading, element('p', detail));
  for (const name of fields.split(' ').filter((one) => one !== '')) form.append(field(name, values));
  form.addEventListener('input', () => {
    heading.textContent = withEntered(question, String(values.queue), new FormData(form));
  });
  const error = element('p', '', { class: 'notice error', role: 'alert', hidden: '' });
  const cancel = element('button', 'Cancel', { type: 'button', class: 'plain' });
  const label = (button.firstChild?.textContent ?? 'Go on').replace('…', '').trim();
  const go = element('button', label, { type: 'submit', class: isDangerous ? 'danger' : 'primary' });
  cancel.addEventListener('click', () => dialog().close());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void act(form, values, go, error);
  });
  const actions = element('div', '', { class: 'actions' });
  actions.append(go, cancel);
  form.append(error, actions);
  dialog().replaceChildren(form);
  dialog().showModal();
  // Enter must not trigger what can't be undone.
  (isDangerous ? cancel : (find<HTMLInputElement>('input', form) ?? go)).focus();
  const again = placeOf(button, document.body);
  const back = () => (button.isConnected ? button : (again?.() ?? find<HTMLElement>('#main')))?.focus();
  dialog().addEventListener('close', back, { once: true });
}

/** The question with the target and the rate that were entered: it says what will be done. */
function withEntered(question: string, queue: string, entered: FormData): string {
  const [to, rate] = [String(entered.get('to') ?? ''), String(entered.get('rate') ?? '')];
  let text = question.replace(/\?$/, '');
  const target = ` to '${queue}'`;
  if (to !== '') text = `${text.endsWith(target) ? text.slice(0, -target.length) : text} to '${to}'`;
  return `${text}${rate === '' ? '' : `, at most ${rate} a second`}?`;
}

function field(name: string, values: Record<string, unknown>): HTMLElement {
  const { label: text = name, hint = '', type = 'text' } = FIELDS[name] ?? {};
  const isRequired = name === 'to' && values.action === 'move';
  const placeholder = name === 'to' && !isRequired ? String(values.queue) : hint;
  const label = element('label', `${text} `);
  const input = element('input', '', { name, type, placeholder, autocomplete: 'off', spellcheck: 'false' });
  input.required = isRequired;
  if (type === 'number') Object.assign(input, { min: '0.1', step: 'any' });
  label.append(input);
  return label;
}

async function act(
  form: HTMLFormElement,
  values: Record<string, unknown>,
  go: HTMLButtonElement,
  error: HTMLElement,
): Promise<void> {
  const entered: Record<string, unknown> = {};
  for (const [name, value] of new FormData(form)) {
    if (value !== '') entered[name] = name === 'rate' ? Number(value) : value;
  }
  go.disabled = true;
  error.hidden = true;
  try {
    const answer = await post('/actions', { ...values, ...entered });
    dialog().close();
    // A message that fails again and returns must be ticked again.
    for (const box of document.querySelectorAll<HTMLInputElement>('input[data-id]')) box.checked = false;
    if (typeof answer.job === 'object') follow(answer.job as JobView);
    else {
      toast(String(answer.text ?? 'done'));
      await visit(location.href);
    }
  } catch (reason) {
    error.textContent = reason instanceof Error ? reason.message : String(reason);
    error.hidden = false;
    go.disabled = false;
  }
}
