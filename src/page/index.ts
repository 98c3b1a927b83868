/** The public names of `millrace/page`. */
export { createPage } from './create-page.js';
export type {
  AuditEntry,
  MetricsSource,
  Page,
  PageOptions,
  PageRequest,
  PageResponse,
} from './page-types.js';
