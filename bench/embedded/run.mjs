// The speeds of the queue on disk: `npm run bench:embedded`. Medians of several runs, each in a process of its own, on
// the disk of the system's temporary folder or of the folder given.
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { arch, cpus, platform, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const RUNS = 5;
const script = fileURLToPath(new URL('./measure.mjs', import.meta.url));
const base = mkdtempSync(join(resolve(process.argv[2] ?? tmpdir()), 'millrace-bench-'));

/** Runs one measurement in a process of its own and gives what it reports. */
function measure(name, folder, ...args) {
  return new Promise((done, failed) => {
    let report;
    const child = fork(script, [name, folder, ...args.map(String)]);
    child.on('message', (message) => {
      report = message;
    });
    child.on('exit', (code) => (code === 0 ? done(report) : failed(new Error(`${name} ended with ${code}`))));
  });
}

let folders = 0;
async function medians(...measurement) {
  const [reports] = await alternating(measurement);
  return reports;
}

/** The medians of several measurements, which take turns, so that whatever else the machine does hits all alike. */
async function alternating(...measurements) {
  const runs = measurements.map(() => []);
  for (let run = 0; run < RUNS; run++) {
    for (const [index, [name, ...args]] of measurements.entries()) {
      const folder = join(base, `${++folders}`);
      mkdirSync(folder);
      runs[index].push(await measure(name, folder, ...args));
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return runs.map((reports) =>
    Object.fromEntries(
      Object.keys(reports[0]).map((key) => [key, median(reports.map((report) => report[key]))]),
    ),
  );
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const line = (what, value, goal) => console.log(`${what.padEnd(58)} ${value.padStart(14)}   ${goal}`);
const rate = (value) => `${Math.round(value).toLocaleString('en')}/s`;
const ms = (value) => `${value.toFixed(2)} ms`;
const mib = (value) => `${Math.round(value / 2 ** 20)} MiB`;

try {
  const { type } = statfsSync(base);
  console.log(
    `${cpus().length} × ${cpus()[0]?.model}, ${mib(totalmem())}, ${platform()} ${release()} ${arch()}, Node ${process.version}, file system 0x${type.toString(16)}`,
  );
  console.log(`medians of ${RUNS}; 100-byte messages, flushed to disk; window 1000\n`);

  const one = await medians('one-process', 200_000);
  line('one process: durable sends', rate(one.sends), 'at least 100,000/s');
  line('one process: taken and acknowledged', rate(one.handled), 'at least 80,000/s');

  const single = await medians('single', 300);
  line('one LMDB put and flush, awaited', ms(single.put), '');
  line(
    'one durable send, awaited',
    ms(single.send),
    `${(single.send / single.put).toFixed(1)} times that; at most 3`,
  );

  const two = await medians('two-processes', 200_000);
  line('two processes: sent by one, handled by the other', rate(two.handled), 'at least 40,000/s');

  const waking = await medians('waking', 100);
  line('from a send in one process to the handler in another', ms(waking.median), 'at most 20 ms');
  line('an idle worker, of a core', `${(waking.idle * 100).toFixed(2)} %`, 'under 1 %');

  const [few, many] = await alternating(['waiting', 2000, 100_000], ['waiting', 1_000_000, 100_000]);
  line('1,000,000 waiting: opening', ms(many.opening), 'under 1,000 ms');
  line(
    '1,000,000 waiting: taken and acknowledged',
    rate(many.handled),
    `as with one or two thousand: ${rate(few.handled)}`,
  );
  line(
    '1,000,000 waiting: memory of the worker',
    mib(many.memory),
    'within 100 MiB, the mapped file not counted',
  );
  line('1,000,000 waiting: the same with the mapped file', mib(many.resident), '');
} finally {
  rmSync(base, { recursive: true, force: true });
}
