/** Queues with dead letters, on each backend, and what an operator does with them in a browser. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Backend } from '../../src/broker.js';
import { createConsumer, createProducer, defineQueue, RejectMessage } from '../../src/index.js';
import { amqpUrl, knownManagementUrl } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';

export const SCRIPT = '<script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">';

interface Value {
  readonly n: number;
  readonly note: string;
}

/** Makes a queue whose dead letters are these many time-outs, and these many rejections. */
export async function failing(
  broker: Backend,
  name: string,
  timeouts: number,
  rejections: number,
): Promise<string> {
  const queue = defineQueue(name, anyValue);
  const producer = createProducer(broker, queue);
  for (let n = 0; n < timeouts + rejections; n++) {
    const isRejected = n >= timeouts;
    const headers = { note: isRejected ? SCRIPT : 'plain' };
    await producer.send({ n, note: isRejected ? SCRIPT : 'plain' } satisfies Value, {
      id: `m-${n}`,
      headers,
    });
  }
  const consumer = createConsumer(
    broker,
    queue,
    ({ n }: Value) => {
      if (n >= timeouts) throw new RejectMessage(`no such customer ${SCRIPT}`);
      throw new Error(`no answer within ${100 + n} ms from 'host-${n}'`);
    },
    { retry: { delaysMs: [] }, observe: () => {} },
  );
  await consumer.start();
  await eventually(async () => (await ready(broker, `${name}.dead`)) === timeouts + rejections);
  await consumer.stop();
  return name;
}

/** 0 if there is no such queue yet. */
export async function ready(broker: Backend, queue: string): Promise<number> {
  return (await broker.inspect(queue).catch(() => ({ ready: 0 }))).ready;
}

/** Where the page is tried: the name of the place, its URL, and the flags of the command. */
export function places(
  folder: string,
): readonly (readonly [name: string, url: () => string, flags: readonly string[]])[] {
  const managed = knownManagementUrl();
  const local = ['in a folder', () => `local:${join(folder, 'queues')}`, []] as const;
  return managed === undefined ? [local] : [local, ['on RabbitMQ', amqpUrl, ['--management-url', managed]]];
}

/** Presses a button, agrees in the dialog, and returns how it ended. */
export async function agree(
  target: Page,
  button: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<string> {
  await target.locator(`button[data-ask]:has-text("${button}")`).first().click();
  const dialog = target.locator('dialog[open]');
  for (const [name, value] of Object.entries(fields)) await dialog.locator(`input[name=${name}]`).fill(value);
  await dialog.locator('button[type=submit]').click();
  await dialog.waitFor({ state: 'detached' });
  const ended = target.locator('.job[data-s=ok] p, .job[data-s=warn] p, #toast:not(:empty)').first();
  return ended.innerText();
}
