/** `millrace/metrics`: metrics for Prometheus, and health checks. */
export { createHealth, type Health, type HealthOptions, type HealthReport } from './health.js';
export { createMetrics, type Metrics, type MetricsOptions } from './metrics.js';
