import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../../src/connect.js';
import { receive } from '../../../src/consumer/receive.js';
import { defineQueue } from '../../../src/queue.js';
import { defineSchedule } from '../../../src/schedules/schedule.js';
import { createScheduler } from '../../../src/schedules/scheduler.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';
import { millrace } from '../support/spawn-millrace.js';

const MODULE = fileURLToPath(new URL('schedule/schedules.mjs', import.meta.url));
const NO_SCHEDULES = fileURLToPath(new URL('topology/shop.mjs', import.meta.url));
const prefix = uniqueName('cli-schedule');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-schedule-'));
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await removeQueues(prefix);
});

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'queues')}`],
])('on %s', (_name, address) => {
  const run = (...args: readonly string[]) =>
    millrace(['schedule', ...args], { env: { MILLRACE_URL: address(), TEST_PREFIX: prefix } });

  test('list shows the next tick, and the last one if it is known', async () => {
    const { exitCode, stdout, stderr } = await run('list', MODULE);
    expect([exitCode, stderr]).toEqual([0, '']);
    const [head, nightly] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^SCHEDULE +NEXT +LAST +RUNS +SENDS TO +TIMES$/);
    expect(nightly).toMatch(
      new RegExp(`^${prefix}-nightly +\\d{4}-02-29T02:00:00Z +- +(no|\\?) +${prefix}-reports +0 3 29 2`),
    );

    await using broker = await connect(address());
    const queue = defineQueue(`${prefix}-reports`, z.unknown());
    const often = defineSchedule(`${prefix}-often`, { everyMs: 200, send: [queue, 'tick'] });
    const scheduler = createScheduler(broker, [often]);
    await scheduler.start();
    await eventually(async () => (await broker.inspect(queue.name)).ready >= 2);
    const isHeld = address() === amqpUrl() ? true : undefined;
    const lastWhileItRuns = isHeld === true ? undefined : expect.stringMatching(/Z$/);
    const infoOf = async () => {
      const { stdout: lines } = await run('list', MODULE, '--json');
      const infos = lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      return infos.find(({ name }) => name === often.name);
    };
    const info = await infoOf();
    expect(info).toMatchObject({ queue: queue.name, timing: 'every 200 ms', next: expect.any(String) });
    expect([info.isHeld, info.last]).toEqual([isHeld, lastWhileItRuns]);
    await scheduler.stop();
    await untilAsserted(async () => {
      expect((await infoOf()).last).toMatch(/Z$/);
    });
    await broker.purge(queue.name);
  });

  test('run-now sends the message of a schedule, besides its ticks', async () => {
    const { exitCode, stdout, stderr } = await run('run-now', `${prefix}-nightly`, MODULE);
    expect([exitCode, stderr]).toEqual([0, '']);
    const [, id = ''] = /^ \[x\] Sent '(.*)' to '.*-reports'\n$/.exec(stdout) ?? [];
    expect(id).toContain(`schedule:${prefix}-nightly:now:`);
    await using broker = await connect(address());
    for await (const message of receive(broker, defineQueue(`${prefix}-reports`, z.unknown()))) {
      expect([message.id, message.value]).toEqual([id, { day: 'today' }]);
      message.ack();
      break;
    }
  });

  test('forget forgets the progress of a schedule, unless a scheduler is known to run it', async () => {
    const name = `${prefix}-forgotten`;
    const nothing = await run('forget', name);
    expect([nothing.exitCode, nothing.stderr]).toEqual([
      4,
      ` [*] Nothing is stored for a schedule '${name}'\n`,
    ]);
    await using broker = await connect(address());
    const queue = defineQueue(`${prefix}-forgotten-reports`, z.unknown());
    const schedule = defineSchedule(name, { everyMs: 200, send: [queue, 'tick'] });
    const scheduler = createScheduler(broker, [schedule]);
    await scheduler.start();
    await eventually(async () => (await broker.inspect(queue.name)).ready >= 1);
    if (address() === amqpUrl()) {
      const held = await run('forget', name);
      expect(held.exitCode).toBe(2);
      expect(held.stderr).toContain(`a scheduler is running the schedule "${name}": stop it first`);
    }
    await scheduler.stop();
    const forgotten = await run('forget', name, '--json');
    expect([forgotten.exitCode, JSON.parse(forgotten.stdout)]).toEqual([
      0,
      { schedule: name, forgotten: true },
    ]);
    const [info] = await createScheduler(broker, [schedule]).list();
    expect(info?.last).toBeUndefined();
  });

  test('an unknown schedule, and a module without any, are errors that list the existing ones', async () => {
    const unknown = await run('run-now', 'weekly', MODULE);
    expect(unknown.exitCode).toBe(2);
    expect(unknown.stderr).toContain(
      `there is no schedule 'weekly' in '${MODULE}'; there are '${prefix}-nightly'`,
    );
    const none = await run('list', NO_SCHEDULES);
    expect(none.exitCode).toBe(78);
    expect(none.stderr).toContain('exports no schedule; write: export const nightly = defineSchedule(');
  });
});
