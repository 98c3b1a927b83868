/** Puts into dist/ what a browser loads of the page: its script as one file, its style, and uPlot. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const path = (/** @type {string} */ file) => fileURLToPath(new URL(`../${file}`, import.meta.url));
const target = path('dist/page/client/');

// The bundler removes types without a look at them.
const compiler = path('node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', path('src/page/client')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

mkdirSync(target, { recursive: true });
for (const file of ['page.css', 'icon.svg']) copyFileSync(path(`src/page/client/${file}`), target + file);
for (const file of ['uPlot.iife.min.js', 'uPlot.min.css']) {
  copyFileSync(path(`node_modules/uplot/dist/${file}`), target + file);
}
copyFileSync(path('node_modules/uplot/LICENSE'), `${target}uPlot.LICENSE`);

await build({
  input: path('src/page/client/page.ts'),
  platform: 'browser',
  logLevel: 'warn',
  output: { file: `${target}page.js`, format: 'iife', minify: true },
});
