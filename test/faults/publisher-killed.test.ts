import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { defineSubscription } from '../../src/topics/subscription.js';
import { defineTopic } from '../../src/topics/topic.js';
import { uniqueName } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';
import { addressOf } from './ledger/addresses.js';
import { size } from './size.js';

const SCRIPT = fileURLToPath(new URL('fan-out/fan-out-publisher.mjs', import.meta.url));
const prefix = uniqueName('publisher-killed');
const KILLS = size(3, 30);
const EVENTS_PER_LIFE = size(100, 300);
const LONG = { timeoutMs: 60_000 };
const EVENTS = (KILLS + 1) * EVENTS_PER_LIFE;

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'local:./folder'] as const)('three subscriptions (%s)', (backend) => {
  it(`have each confirmed event, whose publisher was killed ${KILLS} times`, {
    timeout: 180_000,
  }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-publisher-killed-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const ledger = join(folder, 'ledger');
    writeFileSync(ledger, '');
    const confirmed = () => readFileSync(ledger, 'utf8').split('\n').slice(0, -1);

    const address = await addressOf(backend);
    const topic = defineTopic(
      `${prefix}-${backend.replaceAll(/\W/g, '')}`,
      { grain: z.unknown() },
      { unrouted: 'error' },
    );
    const broker = await connect(address);
    onTestFinished(() => broker.close());
    const queues = ['one', 'two', 'three'].map((name) => defineSubscription(topic, name, { to: ['#'] }));
    for (const { spec } of queues) await broker.declare(spec);

    for (let life = 1; life <= KILLS + 1; life++) {
      const isLast = life > KILLS;
      const args = [SCRIPT, address, topic.name, ledger, String(EVENTS)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      const ended = once(child, 'exit');
      if (!isLast) {
        // In the midst of its work: the next window of events is under way.
        await eventually(() => confirmed().length >= life * EVENTS_PER_LIFE - 30, LONG);
        child.kill('SIGKILL');
      }
      expect(await ended).toEqual(isLast ? [0, null] : [null, 'SIGKILL']);
    }

    const all = Array.from({ length: EVENTS }, (_, number) => `grain-${number}`).sort();
    expect([...new Set(confirmed())].sort()).toEqual(all);
    const copies: string[][] = [];
    for (const { name } of queues) {
      const ids: string[] = [];
      const seen = new Set<string>();
      const subscription = await broker.subscribe(name, { prefetch: 1000 }, (delivery) => {
        ids.push(delivery.message.id);
        seen.add(delivery.message.id);
        delivery.ack();
      });
      await eventually(async () => {
        const { ready, unsettled = 0 } = await broker.inspect(name);
        return ready + unsettled === 0 && seen.size >= EVENTS;
      }, LONG);
      await subscription.close();
      expect([...seen].sort()).toEqual(all);
      copies.push(ids.sort());
    }
    // What was published twice is twice in each: all copies of an event are stored in one step, or none.
    if (backend !== 'quorum') for (const ids of copies) expect(ids).toEqual(copies[0]);
  });
});
