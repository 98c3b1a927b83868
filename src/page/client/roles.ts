/** Tables stay tables for screen readers on a phone, where style shows their rows as cards and browsers drop the roles. */
const ROLES: Readonly<Record<string, string>> = {
  table: 'table',
  'thead, tbody': 'rowgroup',
  tr: 'row',
  td: 'cell',
  'th[scope=col]': 'columnheader',
  'th[scope=row]': 'rowheader',
};

const PHONE = matchMedia('(max-width: 44rem)');

/** Elsewhere they are tables, and the roles need not be written to each of their cells. */
export function tableRoles(): void {
  if (!PHONE.matches) return;
  for (const [selector, role] of Object.entries(ROLES)) {
    for (const element of document.querySelectorAll(`main :is(${selector}):not(.u-legend, .u-legend *)`))
      element.setAttribute('role', role);
  }
}

export function keepTableRoles(): void {
  PHONE.addEventListener('change', tableRoles);
}
