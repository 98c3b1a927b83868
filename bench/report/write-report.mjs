/**
 * Writes docs/benchmarks.md and its charts from the runs in docs/benchmarks.json, which
 * `npm run bench -- --json docs/benchmarks.json` makes. Another file may be named.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { FIGURE_NAMES, formatNumber } from '../console-table.mjs';
import { medianOf, ratio } from '../statistics.mjs';
import { judge } from '../targets.mjs';
import { barChart } from './bar-chart.mjs';

const docs = new URL('../../docs/', import.meta.url);
const source = process.argv[2] ?? new URL('benchmarks.json', docs);
const run = JSON.parse(readFileSync(source, 'utf8'));
/** Why some targets can't be reached: written by hand. */
const limits = readFileSync(new URL('limits.md', import.meta.url), 'utf8');
if (run.quick) {
  console.error('These are the figures of a quick run, which are too short for a report.');
  process.exit(1);
}

/** The workloads that get a chart, and which of their figures it shows. */
const CHARTS = {
  items: 'perSecond',
  jobs: 'perSecond',
  'disk-sends': 'perSecond',
  'disk-handled': 'perSecond',
  'publish-quorum-100': 'cpuUsEach',
  'consume-quorum-100': 'perSecond',
};

mkdirSync(docs, { recursive: true });
writeFileSync(new URL('benchmarks.md', docs), page());
for (const [id, figure] of Object.entries(CHARTS)) {
  const workload = run.workloads.find((each) => each.id === id);
  if (workload !== undefined) writeFileSync(new URL(`benchmarks-${id}.svg`, docs), chartOf(workload, figure));
}

function page() {
  const { machine, node, versions, broker, servers, takenAt } = run;
  const { millrace, ...peers } = versions;
  return `# Benchmarks

millrace ${millrace} beside what else could be used for the same work, measured on ${takenAt.slice(0, 10)} on
${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, Node ${node}${broker ? `, ${broker}` : ''}${servers ? `, ${servers}` : ''} on the same machine.
This page is written by \`npm run bench:report\` from [benchmarks.json](benchmarks.json), which has every single run.

Peers: ${Object.entries(peers)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.

## How it is measured

- Each subject is a process of its own that stays, and is warm. The subjects of a workload take turns, a second or two
  each, in up to ten rounds (two or three of what takes long), so that whatever else the machine does hits all of them alike.
  The tables show medians over the rounds; the ratios are medians of the ratios within each round.
- millrace runs as it is shipped, with its defaults: with a schema and JSON, confirmed, acknowledged. The peers get
  bytes that exist already, and neither validate nor encode anything, unless the table says so.
- On RabbitMQ the broker has the same cores as its clients and sets the ceiling of what goes through a second. What
  a client costs is its CPU time a message. What is measured there is a client that has been running for a while: it
  has published and consumed ${warmUpCount(100)} messages of 100 bytes before, or ${warmUpCount(10_000)} of 10,000, and begins each turn with
  half as many as are measured in it.
- Queues on disk and the servers beside them keep their data in folders of one file system. A peer sends lists of 1000
  where it has a call for that, and its name says what a confirmed message survives: \`appendfsync always\` and
  PostgreSQL flush before they answer, as millrace does; \`everysec\`, JetStream and plainjob do not.
- Every run counts and adds up what arrives, and on RabbitMQ looks whether the queue is empty at the end.

To repeat it: \`npm run bench\`, on your own broker with \`BENCH_AMQP_URL=amqp://…\`.

## Targets

| | limit | reached | |
|---|---:|---:|---|
${judge(run).map(targetRow).join('\n')}

${limits}
${run.workloads.map(section).join('\n')}`;
}

/** How many messages of that size came before those that were measured. */
function warmUpCount(bytes) {
  const { results } = run.workloads.find(({ id }) => id === `publish-quorum-${bytes}`) ?? { results: [] };
  return (results[0]?.options.warmUpCount ?? 0).toLocaleString('en');
}

function targetRow({ what, at, limit, reached, met }) {
  return `| ${what} | ${at === 'least' ? '≥' : '≤'} ${limit} | ${formatNumber(reached)} | ${met ? 'met' : '**not met**'} |`;
}

/** @param {import('../workload.js').MeasuredWorkload} workload */
function section({ id, title, figure, moreFigures = [], reference, results }) {
  const shown = [figure, ...moreFigures];
  const referenceRuns = results.find(({ subject }) => subject === reference)?.runs ?? [];
  const chart = id in CHARTS ? `![${title}](benchmarks-${id}.svg)\n\n` : '';
  const rows = results.map((result) => {
    const name = result.kind === 'ours' ? `**${result.subject}**` : result.subject;
    if (result.runs.length === 0) return `| ${name} | ${result.error} |${' |'.repeat(shown.length)}`;
    const values = shown.map((each) => formatNumber(medianOf(result.runs, each)));
    const against = referenceRuns.length > 0 ? formatNumber(ratio(result.runs, referenceRuns, figure)) : '';
    const givenUp = result.runs.some((each) => each.givenUp)
      ? ` (after ${seconds(result.runs)} s, ended there)`
      : '';
    return `| ${name} | ${values.join(' | ')}${givenUp} | ${against} |`;
  });
  return `## ${title}

${chart}| | ${shown.map((each) => FIGURE_NAMES[each]).join(' | ')} | × ${reference} |
|---|${'---:|'.repeat(shown.length + 1)}
${rows.join('\n')}
`;
}

function seconds(runs) {
  return (medianOf(runs, 'ms') / 1000).toFixed(0);
}

function chartOf({ title, results }, figure) {
  const bars = results
    .filter(({ runs }) => runs.length > 0)
    .map(({ subject, kind, runs }) => ({ label: subject, kind, value: medianOf(runs, figure) }));
  const better = figure === 'perSecond' ? 'more is better' : 'less is better';
  return barChart({ title, unit: `${FIGURE_NAMES[figure]}, ${better}`, bars });
}
