/** Reads how long handlers took and how many failed from a worker's Prometheus metrics. */

const METRIC = 'messaging_process_duration_seconds_bucket{';
export const MAX_QUEUES = 1000;
/** The limit of bounds for one queue. A worker writes 15. */
const MAX_BOUNDS = 50;
/** Longer lines are skipped; a worker cuts its labels at 200 characters. */
const MAX_LINE = 4096;
/** A handler that throws these waits; it has not failed. */
const NO_FAILURE = 'Postpone';

/** Counts of one worker for one queue, which only grow while it runs. */
export interface HandlerCounts {
  /** How many durations are within each bound and above the one before it, by the bound in seconds. */
  readonly durations: ReadonlyMap<number, number>;
  /** Attempts that ended with an error. */
  readonly failed: number;
}

/** The counts by queue. `system` is `rabbitmq` or `millrace`; a worker may consume from both. */
export function handlerCountsOf(text: string, system: string): ReadonlyMap<string, HandlerCounts> {
  const series = new Map<string, { queue: string; isFailed: boolean; below: Map<number, number> }>();
  for (const line of text.split('\n')) {
    if (line.length > MAX_LINE || !line.startsWith(METRIC)) continue;
    const end = line.lastIndexOf('}');
    const labels = labelsOf(line.slice(METRIC.length, end));
    const [queue, le] = [labels.get('messaging_destination_name'), labels.get('le')];
    const value = Number(
      line
        .slice(end + 1)
        .trim()
        .split(' ', 1)[0],
    );
    if (queue === undefined || le === undefined || labels.get('messaging_system') !== system) continue;
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    if (Number.isNaN(bound) || !(value >= 0)) continue;
    labels.delete('le');
    const key = JSON.stringify([...labels].sort());
    const error = labels.get('error_type');
    const isFailed = error !== undefined && error !== NO_FAILURE;
    const known = series.get(key) ?? { queue, isFailed, below: new Map() };
    if (known.below.size < MAX_BOUNDS || known.below.has(bound)) known.below.set(bound, value);
    series.set(key, known);
  }
  const counts = new Map<string, { durations: Map<number, number>; failed: number }>();
  for (const { queue, isFailed, below } of series.values()) {
    const found = counts.get(queue) ?? { durations: new Map(), failed: 0 };
    if (counts.size >= MAX_QUEUES && !counts.has(queue)) continue;
    counts.set(queue, found);
    let before = 0;
    for (const [bound, value] of [...below].sort(([one], [other]) => one - other)) {
      addTo(found.durations, bound, Math.max(0, value - before));
      before = Math.max(before, value);
    }
    if (isFailed) found.failed += before;
  }
  return counts;
}

/** Ignores further bounds beyond the limit. */
export function addTo(durations: Map<number, number>, bound: number, count: number): void {
  const known = durations.get(bound);
  if (known !== undefined || durations.size < MAX_BOUNDS) durations.set(bound, (known ?? 0) + count);
}

/** Stops at the first broken label, since a search for the next one would take quadratic time. */
function labelsOf(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/ *(\w+)="((?:[^"\\]|\\.)*)" *(?:,|$)/gy))
    labels.set(
      name,
      value.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character)),
    );
  return labels;
}

/** The duration in seconds that this share of them did not exceed; undefined if there are none. */
export function quantile(durations: ReadonlyMap<number, number>, share: number): number | undefined {
  const bounds = [...durations].sort(([one], [other]) => one - other);
  const total = bounds.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return undefined;
  let [below, from] = [0, 0];
  for (const [bound, count] of bounds) {
    // Longer than every bound, so at least the last one.
    if (bound === Number.POSITIVE_INFINITY) return from;
    if (count > 0 && below + count >= share * total)
      return from + ((share * total - below) / count) * (bound - from);
    below += count;
    from = bound;
  }
  return from;
}
