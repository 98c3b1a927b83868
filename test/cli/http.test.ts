import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { untilAsserted } from '../support/eventually.js';
import { Millrace, millrace } from './support/spawn-millrace.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-http-'));
afterAll(() => rmSync(folder, { recursive: true }));
const env = { MILLRACE_URL: `local:${join(folder, 'queues')}` };

test('work --http serves metrics and health on this machine, and is not ready while it drains', async () => {
  const handler = join(folder, 'slow.mjs');
  const done = join(folder, 'done');
  writeFileSync(
    handler,
    `import { existsSync } from 'node:fs';
     export default async (text) => {
       while (text === 'slow' && !existsSync(${JSON.stringify(done)})) await new Promise((r) => setTimeout(r, 20));
     };`,
  );
  const worker = new Millrace(['work', handler, '-q', 'orders', '--http', '0'], { env });
  await worker.said('Waiting for messages');
  const [, url = ''] = /"url":"(http:\/\/127\.0\.0\.1:\d+)"/.exec(worker.stderr) ?? [];
  const get = async (path: string) => {
    const response = await fetch(url + path);
    return { status: response.status, text: await response.text() };
  };
  expect(await get('/livez')).toEqual({ status: 200, text: '{"ok":true,"reasons":[]}\n' });
  expect(await get('/readyz')).toMatchObject({ status: 200 });
  expect(await get('/')).toMatchObject({ status: 404 });
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
  await millrace(['send', '-q', 'orders', 'quick'], { env });
  await millrace(['send', '-q', 'orders', 'slow'], { env });
  await untilAsserted(async () => {
    const { text } = await get('/metrics');
    expect(text).toContain(
      'millrace_settled_messages_total{messaging_system="millrace",messaging_destination_name="orders",outcome="handled"} 1\n',
    );
    expect(text).toMatch(/millrace_handlers_in_flight\{.*"orders"\} 1\n/);
    expect(text).toMatch(/millrace_queue_ready\{.*\} 0\n/);
    expect(text).toMatch(/process_resident_memory_bytes \d+\n/);
  });
  worker.child.kill('SIGTERM');
  await worker.said('"event":"stopping"');
  expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('is draining') });
  expect(await get('/livez')).toMatchObject({ status: 200 });
  writeFileSync(done, '');
  expect(await worker.exit()).toBe(0);
});

test('an address in use is an error, and an invalid one is refused', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const taken = await millrace(['work', '--http', String(port)], { env });
  expect(taken).toMatchObject({ exitCode: 1 });
  expect(taken.stderr).toContain(`--http 127.0.0.1:${port}: listen EADDRINUSE`);
  expect(taken.stderr).toContain('--http 0 picks a free port');
  server.close();
  const wrong = await millrace(['work', '--http', 'metrics'], { env });
  expect(wrong).toMatchObject({ exitCode: 2 });
  expect(wrong.stderr).toContain('Write a port');
});
