import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs in a process of its own, on what `npm run build` wrote, and prints whether amqplib is loaded. */
const script = `
  import { createRequire } from 'node:module';
  const { cache } = createRequire(import.meta.url);
  const isLoaded = () => Object.keys(cache).some((file) => /[\\\\/]amqplib[\\\\/]/.test(file));
  const { connect, createProducer } = await import('millrace');
  const broker = await connect('local:');
  await broker.close();
  const before = isLoaded();
  // Nothing listens there, so opening the address fails.
  const error = await connect('amqp://127.0.0.1:1', { connectTimeoutMs: 2000 }).catch((reason) => reason);
  console.log(JSON.stringify({ before, code: error.code, after: isLoaded() }));
`;

test('loads amqplib only when an amqp: address is opened', async () => {
  const args = ['--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  expect(JSON.parse(stdout)).toEqual({ before: false, code: 'UNREACHABLE', after: true });
});
