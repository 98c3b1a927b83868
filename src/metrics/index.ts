/** `millrace/metrics`: metrics for Prometheus, and health checks. */
export { createHealth, type Health, type HealthOptions, type HealthReport } from './health.js';
export type { HttpRequest, HttpResponse } from './http.js';
export { createMetrics, type Metrics, type MetricsOptions } from './metrics.js';
