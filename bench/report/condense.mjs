import { figures, medianOf, ratio } from '../statistics.mjs';
import { judge } from '../targets.mjs';

/**
 * What a report keeps of a run: medians and ratios in place of every turn.
 *
 * @param {import('../workload.js').MeasuredRun} run
 */
export function condense({ workloads, quick: _, ...circumstances }) {
  return {
    ...circumstances,
    targets: judge({ workloads }).map(({ subject, reference, figure, ...target }) => target),
    workloads: workloads.map(({ results, ...workload }) => {
      const referenceRuns = results.find(({ subject }) => subject === workload.reference)?.runs ?? [];
      return {
        ...workload,
        results: results.map((result) => condenseResult(result, workload, referenceRuns)),
      };
    }),
  };
}

/**
 * @param {import('../workload.js').Result} result
 * @param {Omit<import('../workload.js').MeasuredWorkload, 'results'>} workload
 */
function condenseResult(
  { subject, kind, error, options, runs },
  { figure, moreFigures = [] },
  referenceRuns,
) {
  if (runs.length === 0) return { subject, kind, error };
  const shown = [figure, ...moreFigures, ...(runs.some(({ ms }) => ms > 0) ? ['ms'] : [])];
  return {
    subject,
    kind,
    warmUpCount: options.warmUpCount,
    rounds: runs.length,
    medians: Object.fromEntries(
      shown.filter((each) => each in figures).map((each) => [each, rounded(medianOf(runs, each))]),
    ),
    ...(referenceRuns.length > 0 && { ratio: rounded(ratio(runs, referenceRuns, figure)) }),
    ...(runs.some(({ givenUp }) => givenUp) && { givenUp: true }),
  };
}

/** The older runs without the figures that the newer one measured again; empty runs are removed. */
export function replaceWorkloads(older, newer) {
  const measured = new Set(newer.workloads.map(({ id }) => id));
  const kept = older
    .map((run) => ({
      ...run,
      targets: run.targets.filter(({ workload }) => !measured.has(workload)),
      workloads: run.workloads.filter(({ id }) => !measured.has(id)),
    }))
    .filter(({ workloads }) => workloads.length > 0);
  return [...kept, newer];
}

function rounded(number) {
  return Number(number.toPrecision(4));
}
