/**
 * Draws docs/trace.svg, the picture of one trace: runs the two programs in trace/ on a folder, orders something over
 * HTTP, and draws the spans that they export, with the times that these took. Argument: another file to write.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A span as trace/spans.mjs sends it; `start` and `end` in nanoseconds.
 *
 * @typedef {{ service: string, name: string, id: string, parent?: string, trace: string, start: string, end: string,
 *   attempt?: number, error?: string }} Span
 */

const WIDTH = 860;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 150;
const ROW = 24;
const BAR = 12;
const TOP = 64;
const PADDING = 16;
const INDENT = 14;
/** Milliseconds between the lines of the grid: the first that makes at most eight of them. */
const STEPS_MS = [25, 50, 100, 250, 500, 1000, 2500, 5000];

const out = process.argv[2] ?? fileURLToPath(new URL('../docs/trace.svg', import.meta.url));
writeFileSync(out, drawn(inOrder(await record())));

/** What the programs do for one request. */
async function record() {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-trace-'));
  /** @type {Span[]} */
  const spans = [];
  const [shop, workers] = ['shop', 'workers'].map((name) => {
    const file = fileURLToPath(new URL(`trace/${name}.mjs`, import.meta.url));
    const child = fork(file, [name, `local:${folder}`]);
    child.on('message', (/** @type {Span} */ message) => {
      if (message.id !== undefined) spans.push(message);
    });
    return child;
  });
  if (shop === undefined || workers === undefined) throw new Error('unreachable');
  try {
    const [[{ port }]] = await Promise.all([once(shop, 'message'), once(workers, 'message')]);
    // The picture is of a program that has been running for a while.
    for (let orders = 1; orders <= 2; orders++) {
      await fetch(`http://127.0.0.1:${port}/order`, { method: 'POST' });
      const packed = () => spans.filter(({ name }) => name === 'process parcels').length;
      while (packed() < orders) await once(workers, 'message');
    }
    const ended = [shop, workers].map((child) => once(child, 'exit'));
    for (const child of [shop, workers]) child.send('stop');
    await Promise.all(ended);
    const last = spans.filter(({ parent }) => parent === undefined).at(-1);
    return spans.filter(({ trace }) => trace === last?.trace);
  } finally {
    for (const child of [shop, workers]) child.kill();
    rmSync(folder, { recursive: true, maxRetries: 10 });
  }
}

/**
 * Each span behind its parent, and by the time.
 *
 * @param {readonly Span[]} spans
 * @param {string} [parent]
 * @returns {(Span & { depth: number })[]}
 */
function inOrder(spans, parent, depth = 0) {
  return spans
    .filter((span) => span.parent === parent)
    .sort((one, other) => Number(BigInt(one.start) - BigInt(other.start)))
    .flatMap((span) => [{ ...span, depth }, ...inOrder(spans, span.id, depth + 1)]);
}

/** @param {readonly (Span & { depth: number })[]} spans */
function drawn(spans) {
  const begin = BigInt(spans[0]?.start ?? 0);
  const ms = (/** @type {string} */ time) => Number(BigInt(time) - begin) / 1e6;
  const total = Math.max(...spans.map(({ end }) => ms(end)));
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - PADDING;
  const x = (/** @type {number} */ time) => Number((LABEL_WIDTH + (time / total) * room).toFixed(1));
  const height = TOP + spans.length * ROW + PADDING;
  const step = STEPS_MS.find((each) => total / each < 8) ?? total;
  const ticks = Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step);
  const grid = ticks.map(
    (time) =>
      `<line x1="${x(time)}" y1="${TOP - 8}" x2="${x(time)}" y2="${height - PADDING}"/><text class="quiet" x="${x(time)}" y="${TOP - 18}" text-anchor="middle">${time} ms</text>`,
  );
  const rows = spans.map(({ service, name, depth, start, end, attempt = 1, error }, index) => {
    const middle = TOP + index * ROW + ROW / 2;
    const [from, to] = [x(ms(start)), x(ms(end))];
    const width = Math.max(2, Number((to - from).toFixed(1)));
    const again = attempt > 1 ? `, attempt ${attempt}` : '';
    const failed = error === undefined ? '' : `: ${error}`;
    return [
      `<text class="span" x="${PADDING + depth * INDENT}" y="${middle}">${escaped(name)}</text>`,
      `<rect class="${error === undefined ? service : 'failed'}" x="${from}" y="${middle - BAR / 2}" width="${width}" height="${BAR}" rx="2"/>`,
      `<text class="quiet" x="${(from + width + 6).toFixed(1)}" y="${middle}">${(ms(end) - ms(start)).toFixed(1)} ms${again}${escaped(failed)}</text>`,
    ].join('\n  ');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="One trace: an HTTP request, three queues in two processes, and a retry">
  <style>
    text { font: 12px system-ui, sans-serif; fill: #24292f; dominant-baseline: central; }
    .page { fill: #ffffff; stroke: #d0d7de; }
    .quiet { fill: #57606a; font-size: 11px; }
    .shop { fill: #0969da; }
    .workers { fill: #b45309; }
    .failed { fill: #cf222e; }
    line { stroke: #d8dee4; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .page { fill: #0d1117; stroke: #30363d; }
      .quiet { fill: #9198a1; }
      .shop { fill: #58a6ff; }
      .workers { fill: #f59e0b; }
      .failed { fill: #ff7b72; }
      line { stroke: #30363d; }
    }
  </style>
  <rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8"/>
  <rect class="shop" x="${PADDING}" y="14" width="${BAR}" height="${BAR}" rx="2"/><text x="${PADDING + 18}" y="20">shop</text>
  <rect class="workers" x="${PADDING + 70}" y="14" width="${BAR}" height="${BAR}" rx="2"/><text x="${PADDING + 88}" y="20">workers</text>
  <rect class="failed" x="${PADDING + 160}" y="14" width="${BAR}" height="${BAR}" rx="2"/><text x="${PADDING + 178}" y="20">failed</text>
  ${grid.join('\n  ')}
  ${rows.join('\n  ')}
</svg>
`;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
}
