// The built package, as it is shipped: `npm run build` in the root makes it.
export { backendOf } from '../dist/backend.js';
export * from '../dist/index.js';
export { createMetrics } from '../dist/metrics/index.js';
export { instrument } from '../dist/otel/index.js';
export { createPage } from '../dist/page/index.js';
