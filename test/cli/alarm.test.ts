import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canStartOwnBroker, startOwnBroker } from '../support/broker.js';
import { run } from '../support/command.js';
import { Millrace, millrace } from './support/spawn-millrace.js';

test('a worker reports when the broker blocks publishers, as doctor does, and when it unblocks them', async (context) => {
  context.skip(!canStartOwnBroker(), 'an alarm would block everybody on the broker of TEST_AMQP_URL');
  const container = await startOwnBroker();
  const alarm = async (fraction: string) => {
    const command = ['exec', container.id, 'rabbitmqctl', 'set_vm_memory_high_watermark', fraction];
    expect((await run('docker', command, { timeoutMs: 30_000 })).exitCode).toBe(0);
  };
  const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-alarm-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const go = join(folder, 'go');
  const url = ['-u', container.amqpUrl];
  await millrace(['send', 'x', ...url]);
  // Fails once it is let go: its retry is what has to be published.
  const command = `until [ -e '${go}' ]; do sleep 0.05; done; exit 1`;
  const worker = new Millrace(['work', '--count', '2', '--retry', '10ms', '--exec', command, ...url]);
  await worker.said('"event":"started"');
  await alarm('0.0001');
  writeFileSync(go, '');
  await worker.said('"event":"blocked"');
  const doctor = await millrace(['doctor', '--json', ...url]);
  expect(doctor.exitCode).toBe(75);
  expect(doctor.stdout).toMatch(
    /"check":"round trip","status":"fail","text":"the broker has blocked publishers: .*memory/,
  );
  await alarm('0.9');
  await worker.said('"event":"unblocked"');
  await worker.said('"event":"dead-lettered"');
  expect(await worker.exit()).toBe(1);
  await worker.said(/"event":"summary".*"retried":1,.*"deadLettered":1.*"blocked":1/);
});
