import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Compiles the tests, those of types included, and gives what the compiler complains about. */
async function complaints(): Promise<string> {
  const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
  const compiling = promisify(execFile)(process.execPath, [tsc, '-p', 'test/tsconfig.json'], { cwd: root });
  return compiling.then(
    ({ stdout }) => stdout,
    (error: { stdout?: string; message: string }) => error.stdout || error.message,
  );
}

test('the cases of test/package/types compile, and what must not compile does not', async () => {
  expect(readdirSync(new URL('types/', import.meta.url)).length).toBeGreaterThan(3);
  // An unused @ts-expect-error is a complaint, too.
  expect(await complaints()).toBe('');
});
