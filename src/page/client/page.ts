/** Starts the page's scripts. Without them, the page is static and shows the state at loading. */
import { startActions } from './actions.js';
import { drawCharts, keepCharts } from './charts.js';
import { keepTicksOverReload } from './keep.js';
import { startKeys } from './keys.js';
import { keepTableRoles, tableRoles } from './roles.js';
import { follow, watchSilence } from './stream.js';
import { find, localTimes, onShown, shown, visit } from './visit.js';

const TYPING_MS = 200;

document.documentElement.classList.add('js');

onShown(tableRoles);
onShown(localTimes);
onShown(drawCharts);
onShown(follow);
startActions();
startKeys();
keepCharts();
keepTableRoles();
watchSilence();
startFilter();
startRefresh();
keepTicksOverReload(document.body);
shown();

/** The list follows the typed filter; the URL keeps it. */
function startFilter(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const apply = () => {
    const form = find<HTMLFormElement>('[data-filter]');
    if (form === undefined) return;
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (typeof value === 'string' && value !== '' && !(name === 'order' && value === 'attention'))
        query.set(name, value);
    }
    const text = query.toString();
    void visit(`${form.getAttribute('action')}${text === '' ? '' : `?${text}`}`, '#list');
  };
  document.addEventListener('input', (event) => {
    if ((event.target as Element).closest('[data-filter]') === null) return;
    clearTimeout(timer);
    timer = setTimeout(apply, TYPING_MS);
  });
  document.addEventListener('submit', (event) => {
    if (!(event.target as Element).matches('[data-filter]')) return;
    event.preventDefault();
    clearTimeout(timer);
    apply();
  });
}

function startRefresh(): void {
  document.addEventListener('click', (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-refresh]');
    if (link === null || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    void visit(location.href);
  });
}
