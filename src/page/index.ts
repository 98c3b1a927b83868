/** The public names of `millrace/page`. */
export { createPage } from './create-page.js';
export type { AuditEntry, Page, PageOptions, PageRequest, PageResponse } from './page.js';
