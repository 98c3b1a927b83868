/**
 * Measures millrace beside its peers. `npm run bench -- --help` tells how to run it.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { tableLines } from './console-table.mjs';
import { startServers } from './disk/servers.mjs';
import { environment } from './environment.mjs';
import { diskWorkloads } from './plan-disk.mjs';
import { localWorkloads } from './plan-local.mjs';
import { rabbitMqWorkloads } from './plan-rabbitmq.mjs';
import { Progress } from './progress.mjs';
import { findBroker } from './rabbitmq/broker.mjs';
import { isOverTime, measureInRounds, measureSideBySide } from './rounds.mjs';

const PARTS = ['local', 'disk', 'rabbitmq'];
/** Which workloads there are does not depend on where servers are. */
const NOWHERE = { folder: '' };

const USAGE = `Usage: npm run bench -- [local] [disk] [rabbitmq] [--quick] [--only ID] [--folder DIR] [--json FILE]

  local      in process
  disk       the queue on disk, beside those of other toolkits with their servers (where they are installed)
  rabbitmq   on the broker at BENCH_AMQP_URL or TEST_AMQP_URL, otherwise on one in a container
             Without any of these words, all three.
  --folder D where queues on disk and the servers keep their data (default: the system's temporary folder)
  --quick    a minute each, too short for figures: shows that everything runs
  --only ID  the workloads whose ids begin with ID (may be repeated)
  --json F   writes all runs to a file, for npm run bench:report
`;

/** Medians need some rounds; further ones are begun for so long, which keeps a slow machine within a quarter of an hour. */
const LEAST_ROUNDS = 3;
const LAST_ROUND_MS = 11 * 60_000;

const { values: flags, positionals } = readArguments();
const parts = partsOf(positionals);
const broker = parts.includes('rabbitmq') ? await findBroker() : undefined;
const servers = parts.includes('disk') ? await startServers(flags.folder) : undefined;
/** @type {import('./workload.js').MeasuredWorkload[]} */
const workloads = [
  ...(parts.includes('local') ? localWorkloads(flags) : []),
  ...(servers === undefined ? [] : diskWorkloads(flags, servers.places)),
  ...(broker === undefined ? [] : rabbitMqWorkloads(flags, broker.url)),
]
  .filter(({ id }) => flags.only === undefined || flags.only.some((prefix) => id.startsWith(prefix)))
  .map(({ subjects, ...workload }) => ({
    ...workload,
    results: subjects.map((subject) => ({ ...subject, runs: [] })),
  }));

const circumstances = {
  ...environment(),
  broker: broker?.description,
  servers: servers?.description,
  quick: flags.quick,
};
describe(circumstances);
await measureAll();
const run = { ...circumstances, workloads: workloads.flatMap(reported) };
for (const line of run.workloads.flatMap(tableLines)) console.log(line);
await servers?.stop();
await broker?.stop();
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(run, undefined, 1)}\n`);
// A peer that is not done in time is a result; the report says so.
const failed = run.workloads.flatMap(({ results }) =>
  results.filter(({ error, kind }) => error !== undefined && (kind === 'ours' || !isOverTime(error))),
);
process.exitCode = failed.length > 0 ? 1 : 0;

async function measureAll() {
  const progress = new Progress(
    workloads.reduce((sum, { rounds = 1, results }) => sum + rounds * results.length, 0),
  );
  const begin = performance.now();
  const goesOn = (round) => round < LEAST_ROUNDS || performance.now() - begin < LAST_ROUND_MS;
  for (const { results, title, sideBySide, fresh, rounds = 1, limitMs = 60_000 } of workloads) {
    progress.workload(title);
    const onRun = (subject) => progress.run(subject);
    if (sideBySide) await measureSideBySide(results, { limitMs }, onRun);
    else await measureInRounds(results, { rounds, limitMs, fresh, goesOn }, onRun);
  }
  progress.clear();
}

/**
 * A workload as it is written down: one for each of its parts where it has any.
 *
 * @param {import('./workload.js').MeasuredWorkload} workload
 */
function reported({ parts, partNames = {}, ...workload }) {
  // The address of the broker, with its password, is nobody else's business; nor is where the data was.
  for (const result of workload.results) {
    delete result.options?.url;
    delete result.options?.place;
  }
  if (parts === undefined) return [workload];
  return Object.entries(parts).map(([part, title]) => ({
    ...workload,
    id: workload.id.replace('flow', part),
    title,
    results: workload.results.map((result) => ({
      ...result,
      runs: result.runs.map((each) => each.parts[partNames[part] ?? part]),
    })),
  }));
}

function readArguments() {
  try {
    const read = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true },
        folder: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    const unknown = read.positionals.find((word) => !PARTS.includes(word));
    if (unknown !== undefined) throw new Error(`there is no part '${unknown}'`);
    if (read.values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const ids = idsOf(partsOf(read.positionals), read.values);
    const missing = read.values.only?.find((prefix) => !ids.some((id) => id.startsWith(prefix)));
    if (missing !== undefined) {
      throw new Error(
        `--only ${missing}: no workload has an id that begins so; the ids are ${ids.join(', ')}`,
      );
    }
    return read;
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function partsOf(words) {
  return words.length > 0 ? words : PARTS;
}

function idsOf(words, options) {
  return [
    ...(words.includes('local') ? localWorkloads(options) : []),
    ...(words.includes('disk') ? diskWorkloads(options, NOWHERE) : []),
    ...(words.includes('rabbitmq') ? rabbitMqWorkloads(options, '') : []),
  ].map(({ id }) => id);
}

function describe({ machine, node, versions, broker, servers, quick }) {
  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, Node ${node}`,
  );
  console.log(
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  );
  for (const line of [broker, servers]) if (line) console.log(line);
  if (quick) console.log('Quick: too short for figures.');
}
