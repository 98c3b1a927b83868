/** How long handlers took and how many failed, out of the metrics that a worker writes for Prometheus. */

const METRIC = 'messaging_process_duration_seconds_bucket{';
const MAX_QUEUES = 1000;

/** Counts of one worker for one queue, which only grow while it runs. */
export interface HandlerCounts {
  /** By the upper bound of a duration in seconds: how many lie between the bound before and it. */
  readonly durations: ReadonlyMap<number, number>;
  /** Attempts that ended with an error. */
  readonly failed: number;
}

/** By queue. `system`: `rabbitmq` or `millrace`; a worker may consume from both. */
export function handlerCountsOf(text: string, system: string): ReadonlyMap<string, HandlerCounts> {
  const series = new Map<string, { queue: string; isFailed: boolean; below: Map<number, number> }>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(METRIC)) continue;
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
    const known = series.get(key) ?? { queue, isFailed: labels.has('error_type'), below: new Map() };
    known.below.set(bound, value);
    series.set(key, known);
  }
  const counts = new Map<string, { durations: Map<number, number>; failed: number }>();
  for (const { queue, isFailed, below } of series.values()) {
    const found = counts.get(queue) ?? { durations: new Map(), failed: 0 };
    if (counts.size >= MAX_QUEUES && !counts.has(queue)) continue;
    counts.set(queue, found);
    let before = 0;
    for (const [bound, value] of [...below].sort(([one], [other]) => one - other)) {
      const within = Math.max(0, value - before);
      found.durations.set(bound, (found.durations.get(bound) ?? 0) + within);
      before = Math.max(before, value);
    }
    if (isFailed) found.failed += before;
  }
  return counts;
}

function labelsOf(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
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
    // Longer than all bounds: at least the last one.
    if (bound === Number.POSITIVE_INFINITY) return from;
    if (count > 0 && below + count >= share * total)
      return from + ((share * total - below) / count) * (bound - from);
    below += count;
    from = bound;
  }
  return from;
}
