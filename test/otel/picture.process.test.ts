import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The spans of a picture, from above: how far to the right their names are, and what their bars show. */
function rowsOf(svg: string): readonly (readonly [x: number, name: string, colour: string])[] {
  const row = /<text class="span" x="(\d+)" y="\d+">([^<]*)<\/text>\s*<rect class="(\w+)"/g;
  return [...svg.matchAll(row)].map(([, x, name, colour]) => [Number(x), name as string, colour as string]);
}

test('the picture in the docs is one of a real run: from a request over two queues to a third, with a retry', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-picture-'));
  try {
    const out = join(folder, 'trace.svg');
    await promisify(execFile)(process.execPath, [join(root, 'scripts/draw-trace.mjs'), out]);
    const drawn = readFileSync(out, 'utf8');
    expect(rowsOf(drawn)).toEqual([
      [16, 'POST /order', 'shop'],
      [30, 'send orders', 'shop'],
      [44, 'process orders', 'workers'],
      [58, 'send bills', 'workers'],
      [72, 'process bills', 'failed'],
      [72, 'process bills', 'workers'],
      [86, 'send parcels', 'workers'],
      [100, 'process parcels', 'workers'],
    ]);
    const figures = />[\d.]+ ms|\b(x|y|x1|x2|width|height)="[\d.]+"/g;
    const withoutFigures = (svg: string) => svg.replaceAll(/ +<line.*\n/g, '').replaceAll(figures, '');
    const published = readFileSync(join(root, 'docs/trace.svg'), 'utf8');
    expect(withoutFigures(published)).toBe(withoutFigures(drawn));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
