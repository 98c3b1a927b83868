/**
 * Runs all the faults in full: `npm run test:faults`; further arguments are vitest's. With `--report` the figures go
 * into docs/faults.md, if all tests passed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {import('../test/faults/ledger/figures.js').Figures} Figures */

const root = new URL('../', import.meta.url);
const page = new URL('docs/faults.md', root);
const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->'];

const vitest = fileURLToPath(new URL('node_modules/vitest/vitest.mjs', root));
const wantsReport = process.argv.includes('--report');
const rest = process.argv.slice(2).filter((argument) => argument !== '--report');
const folder = mkdtempSync(join(tmpdir(), 'millrace-figures-'));
try {
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'faults', ...rest], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FAULTS: 'full', FAULTS_REPORT: folder },
  });
  if (status !== 0) process.exitCode = status ?? 1;
  else if (wantsReport) writeReport();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function writeReport() {
  const runs = readdirSync(folder).map((name) => figuresIn(join(folder, name)));
  runs.sort((a, b) => a.fault.localeCompare(b.fault) || a.backend.localeCompare(b.backend));
  const text = readFileSync(page, 'utf8');
  const before = text.slice(0, text.indexOf(begin) + begin.length);
  const after = text.slice(text.indexOf(end));
  writeFileSync(page, `${before}\n${table(runs)}\n${after}`);
}

/**
 * @param {string} path
 * @returns {Figures}
 */
function figuresIn(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** @param {readonly Figures[]} runs */
function table(runs) {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}`;
  const head = [
    // Times depend on how busy the machine was.
    `Taken on ${new Date().toISOString().slice(0, 10)}, ${machine}, load average ${Math.round(loadavg()[2] ?? 0)}.`,
    '',
    '| fault | queue | messages | times injected | lost | handled again | sent again | unconfirmed | back after: median, worst | memory |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|',
  ];
  return [...head, ...runs.map(row)].join('\n');
}

/** @param {Figures} run */
function row(run) {
  const times = run.recoveryMs.toSorted((a, b) => a - b);
  const back = times.length === 0 ? '' : `${milliseconds(median(times))}, ${milliseconds(times.at(-1) ?? 0)}`;
  const cells = [
    run.fault,
    run.backend.startsWith('local:') ? `\`${run.backend}\`` : run.backend,
    count(run.messages),
    count(run.faults),
    run.deleted === 0 ? count(run.lost) : `${count(run.lost)} (${count(run.deleted)} deleted)`,
    count(run.duplicates),
    count(run.resent),
    count(run.unconfirmed),
    back,
    `+${Math.round(run.growthBytes / 1e6)} MB`,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** @param {readonly number[]} sorted not empty */
function median(sorted) {
  const middle = sorted.length >> 1;
  const [below = 0, above = 0] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? above : (below + above) / 2;
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString('en');
}

/** @param {number} ms */
function milliseconds(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
