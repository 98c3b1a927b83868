import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';

const program = fileURLToPath(new URL('helper.mjs', import.meta.url));
const prefix = uniqueName('unref');
const folder = mkdtempSync(join(tmpdir(), 'millrace-unref-'));
let runs = 0;

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await removeQueues(prefix);
});

/** Runs the program to its own end: it is what is tested here, so nobody helps it along. */
async function run(address: string, role: string): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [program, address, `${prefix}-${++runs}`, role], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  return { code, output };
}

describe.each([
  ['the broker in memory', () => 'local:'],
  ['the broker on disk', () => `local:${folder}`],
  ['RabbitMQ', amqpUrl],
])('on %s', (_name, address) => {
  test('a consumer keeps the process alive', async () => {
    expect(await run(address(), 'main')).toMatchObject({ code: 7 });
  });

  test('a helper does its work and does not keep the process alive', async () => {
    const { code, output } = await run(address(), 'helper');
    expect(output).toBe('handled early\nend of main\n');
    expect(code).toBe(0);
  });

  test('a helper that is always busy does not keep the process alive', async () => {
    const { code, output } = await run(address(), 'busy');
    expect(output).toBe('end of main\n');
    expect(code).toBe(0);
  });

  test('ref takes unref back', async () => {
    expect(await run(address(), 'main-again')).toMatchObject({ code: 7 });
  });

  test('a send that is under way is finished before the process ends', async () => {
    const { code, output } = await run(address(), 'sending');
    expect(output).toContain('stored\n');
    expect(code).toBe(0);
  });
});
