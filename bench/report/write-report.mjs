/**
 * Writes docs/benchmarks.md and its charts from docs/benchmarks.json. Each file that is named, made by
 * `npm run bench -- --json FILE`, replaces there what it measured again.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { FIGURE_NAMES, formatNumber } from '../console-table.mjs';
import { barChart } from './bar-chart.mjs';
import { condense, replaceWorkloads } from './condense.mjs';

const docs = new URL('../../docs/', import.meta.url);
const published = new URL('benchmarks.json', docs);
/** Why some targets can't be reached: written by hand. */
const limits = readFileSync(new URL('limits.md', import.meta.url), 'utf8');

/** The workloads that get a chart, and which of their figures it shows. */
const CHARTS = {
  items: 'perSecond',
  jobs: 'perSecond',
  'disk-sends': 'perSecond',
  'disk-handled': 'perSecond',
  'publish-quorum-100': 'cpuUsEach',
  'consume-quorum-100': 'perSecond',
};

let runs = existsSync(published) ? JSON.parse(readFileSync(published, 'utf8')).runs : [];
for (const file of process.argv.slice(2)) {
  const run = JSON.parse(readFileSync(file, 'utf8'));
  if (run.quick) {
    console.error(`${file} has the figures of a quick run, which is too short for a report.`);
    process.exit(1);
  }
  runs = replaceWorkloads(runs, condense(run));
}
mkdirSync(docs, { recursive: true });
writeFileSync(published, `${JSON.stringify({ runs }, null, 1)}\n`);
writeFileSync(new URL('benchmarks.md', docs), page());
for (const [id, figure] of Object.entries(CHARTS)) {
  const workload = allWorkloads().find((each) => each.id === id);
  if (workload !== undefined) writeFileSync(new URL(`benchmarks-${id}.svg`, docs), chartOf(workload, figure));
}

function allWorkloads() {
  return runs.flatMap(({ workloads }) => workloads);
}

function page() {
  return `# Benchmarks

millrace beside what else could be used for the same work. \`npm run bench:report\` writes this page from
[benchmarks.json](benchmarks.json), which holds the medians.

## How it is measured

- Each subject is a process of its own that stays, and is warm. The subjects of a workload take turns, a second or two
  each, in up to ten rounds (two or three of what takes long), so that whatever else the machine does hits all of them alike.
  Where they differ by less than two processes of one program do, each turn is one of a new process.
  The tables show medians over the rounds; the ratios are medians of the ratios within each round.
- millrace runs as it is shipped, with its defaults: with a schema and JSON, confirmed, acknowledged. The peers get
  bytes that exist already, and neither validate nor encode anything, unless the table says so.
- On RabbitMQ the broker has the same cores as its clients and limits the messages per second. What
  a client costs is its CPU time a message. What is measured there is a client that has been running for a while: it
  has published and consumed ${warmUpCount(100)} messages of 100 bytes before, or ${warmUpCount(10_000)} of 10,000, and begins each turn with
  half as many as are measured in it.
- Queues on disk and the servers beside them keep their data in folders of one file system. A peer sends lists of 1000
  where it has a call for that, and its name says what a confirmed message survives: \`appendfsync always\` and
  PostgreSQL flush before they answer, as millrace does; \`everysec\`, JetStream and plainjob do not.
- Every run counts and adds up what arrives, and on RabbitMQ checks that the queue is empty at the end.

To repeat it: \`npm run bench\`, on your own broker with \`BENCH_AMQP_URL=amqp://…\`; \`npm run bench:embedded\` for
the queue on disk alone. As root on Debian it installs the missing servers with apt; elsewhere it measures those that
are there.

${runs.map(runSection).join('\n')}
${limits}
${allWorkloads().map(section).join('\n')}`;
}

/** How many messages of that size came before those that were measured. */
function warmUpCount(bytes) {
  const { results } = allWorkloads().find(({ id }) => id === `publish-quorum-${bytes}`) ?? { results: [] };
  return (results[0]?.warmUpCount ?? 0).toLocaleString('en');
}

/** Where and when a run was made, and what became of its targets. */
function runSection({ machine, node, versions, broker, servers, takenAt, targets, workloads }) {
  const { millrace, ...peers } = versions;
  const beside = [broker, servers].filter(Boolean).join(', ');
  const subjects = new Set(
    workloads.flatMap(({ results }) => results.map(({ subject }) => subject.toLowerCase())),
  );
  const named = Object.entries(peers).filter(([name]) =>
    [...subjects].some((subject) =>
      subject.replaceAll(/[ -]/g, '').includes(name.replaceAll(/[ -]/g, '').toLowerCase()),
    ),
  );
  const heading = targets.length > 0 ? 'Targets' : 'Measured apart, without a target';
  const table = `
| | limit | reached | |
|---|---:|---:|---|
${targets.map(targetRow).join('\n')}
`;
  return `## ${heading}: ${places(workloads)}

Measured on ${takenAt.slice(0, 10)} on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, Node ${node}${beside ? `, with ${beside} on the same machine` : ''}:
millrace ${millrace}${named.map(([name, version]) => `, ${name} ${version}`).join('')}.
${targets.length > 0 ? table : ''}`;
}

/** What the workloads of a run measured. */
function places(workloads) {
  if (workloads.some(({ id }) => id.startsWith('disk'))) return 'the queue on disk';
  const onRabbitMq = workloads.filter(({ id }) => /quorum|classic|rabbitmq|reconnect/.test(id));
  if (onRabbitMq.length === 0) return 'in the process';
  return onRabbitMq.length === workloads.length ? 'RabbitMQ' : 'in the process, and RabbitMQ';
}

function targetRow({ what, at, limit, reached, met }) {
  return `| ${what} | ${at === 'least' ? '≥' : '≤'} ${formatNumber(limit)} | ${formatNumber(reached)} | ${met ? 'met' : '**not met**'} |`;
}

function section({ id, title, figure, moreFigures = [], reference, results }) {
  const shown = [figure, ...moreFigures];
  const chart = id in CHARTS ? `![${title}](benchmarks-${id}.svg)\n\n` : '';
  const rows = results.map((result) => {
    const name = result.kind === 'ours' ? `**${result.subject}**` : result.subject;
    if (result.medians === undefined) return `| ${name} | ${result.error} |${' |'.repeat(shown.length)}`;
    const values = shown.map((each) => formatNumber(result.medians[each]));
    const givenUp = result.givenUp ? ` (after ${(result.medians.ms / 1000).toFixed(0)} s, ended there)` : '';
    const against = result.ratio === undefined ? '' : formatNumber(result.ratio);
    return `| ${name} | ${values.join(' | ')}${givenUp} | ${against} |`;
  });
  return `## ${title}

${chart}| | ${shown.map((each) => FIGURE_NAMES[each]).join(' | ')} | × ${reference} |
|---|${'---:|'.repeat(shown.length + 1)}
${rows.join('\n')}
`;
}

function chartOf({ title, results }, figure) {
  const bars = results
    .filter(({ medians }) => medians !== undefined)
    .map(({ subject, kind, medians }) => ({ label: subject, kind, value: medians[figure] }));
  const better = figure === 'perSecond' ? 'more is better' : 'less is better';
  return barChart({ title, unit: `${FIGURE_NAMES[figure]}, ${better}`, bars });
}
