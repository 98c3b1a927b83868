/** SQLite comes with Node from 22.13 on; before, an installation may lack the package that brings it. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasBuiltinSqlite } from '../../../src/local-queue/disk/store/sqlite.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'millrace-without-sqlite-'));

beforeAll(() => {
  cpSync(join(root, 'dist'), join(place, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(place, 'package.json'));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    const link = join(place, 'node_modules', name);
    mkdirSync(join(link, '..'), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Its exit code and all that it said. */
function run(...args: string[]): Promise<{ readonly code: unknown; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: place }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: stdout + stderr });
    });
  });
}

test.skipIf(hasBuiltinSqlite).each(['send', 'work', 'doctor'])(
  '%s says which package is missing, and how to get it',
  async (command) => {
    const words = command === 'send' ? ['Hello World!'] : [];
    const { code, output } = await run(
      'dist/cli/bin.js',
      command,
      '--url',
      `local:${place}/queues`,
      ...words,
    );
    expect(code).not.toBe(0);
    expect(output).toContain(
      `need Node 22.13 or newer, or on this Node (${process.version}) the package '@photostructure/sqlite', which is not installed: npm install @photostructure/sqlite@1.2`,
    );
  },
);

test('queues in memory do not need it', async () => {
  const script = `
    import { connect } from './dist/index.js';
    const broker = await connect('local:');
    await broker.close();
    await connect('local:./queues').catch(({ code }) => console.log(code));
  `;
  expect(await run('--input-type=module', '--eval', script)).toEqual({
    code: 0,
    output: hasBuiltinSqlite ? '' : 'STORAGE_ERROR\n',
  });
});
