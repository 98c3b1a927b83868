export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What one run comes to. `count` messages took `ms` of wall-clock time and `cpuUs` of this process's CPU time. */
export const figures = {
  perSecond: ({ count, ms }) => (count / ms) * 1000,
  nsEach: ({ count, ms }) => (ms * 1e6) / count,
  cpuUsEach: ({ count, cpuUs }) => cpuUs / count,
  medianUs: ({ latency }) => latency.medianUs,
  p99Us: ({ latency }) => latency.p99Us,
  maxUs: ({ latency }) => latency.maxUs,
  openingMs: ({ openingMs }) => openingMs,
  memoryMb: ({ memoryBytes }) => memoryBytes / 1e6,
  idlePercent: ({ idle }) => idle * 100,
  sharePercent: ({ share }) => share * 100,
  ms: ({ ms }) => ms,
  peakGrowthMb: ({ peakGrowthBytes }) => peakGrowthBytes / 1e6,
};

export function medianOf(runs, figure) {
  const value = median(runs.map(figures[figure]));
  if (Number.isNaN(value)) throw new Error(`a subject did not measure ${figure}: ${JSON.stringify(runs[0])}`);
  return value;
}

/**
 * How many times the reference's figure ours is: the median of the ratios within each round, because what disturbs
 * the machine lasts longer than a round and disturbs both.
 */
export function ratio(runs, referenceRuns, figure) {
  const rounds = Math.min(runs.length, referenceRuns.length);
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    ratios.push(figures[figure](runs[round]) / figures[figure](referenceRuns[round]));
  }
  return median(ratios);
}
