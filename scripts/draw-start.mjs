/**
 * Runs `npm start` in a terminal of 80 columns and draws what is on the screen at its end into docs/start.svg. Needs
 * the command `script` of util-linux.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const COLUMNS = 80;
const LINE_HEIGHT = 18;
const CHARACTER_WIDTH = 7.8;
const PADDING = 16;
/** What begins an escape sequence. */
const ESCAPE = String.fromCharCode(27);
/** The names of the colours that the program uses, by their escape codes. */
const COLOURS = new Map([
  ['31', 'red'],
  ['32', 'green'],
  ['33', 'yellow'],
  ['36', 'cyan'],
  ['2', 'dim'],
]);

const root = new URL('../', import.meta.url);
const run = spawn('script', ['-qec', `stty cols ${COLUMNS} rows 60 && npm start --silent`, '/dev/null'], {
  cwd: fileURLToPath(root),
  env: { ...process.env, TERM: 'xterm-256color', NO_COLOR: undefined },
  stdio: ['ignore', 'pipe', 'inherit'],
});
let output = '';
for await (const part of run.stdout) output += part;

/** The lines of the screen, each of pieces of one colour. A line that is written again replaces what it was. */
const lines = `$ npm start\n${output}`
  .split('\n')
  .map((line) => line.replace(/\r+$/, '').split('\r').at(-1) ?? '')
  .map((line) => {
    let colour = '';
    return line.split(new RegExp(`(${ESCAPE}\\[[\\d;]*[A-Za-z])`)).flatMap((piece) => {
      if (!piece.startsWith(ESCAPE)) return piece === '' ? [] : [{ piece, colour }];
      if (piece.endsWith('m')) colour = COLOURS.get(piece.slice(2, -1)) ?? '';
      return [];
    });
  });
while (lines.at(-1)?.length === 0) lines.pop();

const escaped = (/** @type {string} */ text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const text = lines.map((pieces, row) => {
  const spans = pieces.map(({ piece, colour }) =>
    colour === '' ? escaped(piece) : `<tspan class="${colour}">${escaped(piece)}</tspan>`,
  );
  return `  <text x="${PADDING}" y="${PADDING + (row + 0.5) * LINE_HEIGHT}">${spans.join('')}</text>`;
});
const width = Math.ceil(COLUMNS * CHARACTER_WIDTH + 2 * PADDING);
const height = lines.length * LINE_HEIGHT + 2 * PADDING;
writeFileSync(
  new URL('docs/start.svg', root),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="A terminal after npm start">
  <style>
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #e6edf3; white-space: pre; dominant-baseline: central; }
    .red { fill: #ff7b72; }
    .green { fill: #56d364; }
    .yellow { fill: #e3b341; }
    .cyan { fill: #76e3ea; }
    .dim { fill: #8b949e; }
  </style>
  <rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${text.join('\n')}
</svg>
`,
);
