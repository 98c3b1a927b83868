import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from '@asyncapi/parser';
import { afterAll, expect, test } from 'vitest';
import { millrace } from '../../support/spawn-millrace.js';

const MODULE = fileURLToPath(new URL('documented.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'millrace-asyncapi-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('the AsyncAPI document of a topology passes the official parser, and has its channels and schemas', async () => {
  const file = join(folder, 'asyncapi.json');
  const args = [
    'topology',
    'export',
    file,
    MODULE,
    '--format',
    'asyncapi',
    '--title',
    'Shop',
    '--vhost',
    'test',
  ];
  expect(await millrace(args)).toEqual({
    exitCode: 0,
    stdout: ` [x] Wrote 12 channels, 11 messages to ${file}\n`,
    stderr: " [!] no JSON Schema can be made of the schema of 'plain'\n",
  });
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'));
  expect(diagnostics).toEqual([]);
  if (document === undefined) throw new Error('the parser gave no document');
  expect([document.version(), document.info().title()]).toEqual(['3.1.0', 'Shop']);

  const operations = document
    .allOperations()
    .all()
    .map((operation) => {
      const channel = operation.channels().all()[0];
      return `${operation.action()} ${channel?.address()}: ${operation
        .messages()
        .all()
        .map((message) => message.name())}`;
    });
  expect(operations.sort()).toEqual([
    'receive audit.log: user.seen',
    'receive null: {braces}',
    'receive plain: plain',
    'receive shop.billing: order.placed,order.cancelled',
    'receive strange/näme #1: strange/näme #1',
    'receive strange?näme #1: strange?näme #1',
    'receive words: words',
    'send categories.changed: categories.changed',
    'send null: everything',
    'send null: {braces}',
    'send order.cancelled: order.cancelled',
    'send order.placed: order.placed',
    'send plain: plain',
    'send strange/näme #1: strange/näme #1',
    'send strange?näme #1: strange?näme #1',
    'send words: words',
    'send {routingKey}: logs',
  ]);

  const placed = document.channels().get('shop.order.placed');
  expect(placed?.bindings().get('amqp')?.value()).toMatchObject({
    is: 'routingKey',
    exchange: { name: 'shop', type: 'topic', durable: true, vhost: 'test' },
  });
  expect(placed?.messages().get('shop.order.placed')?.payload()?.json()).toMatchObject({
    type: 'object',
    // What has a default need not be sent.
    required: ['id', 'at', 'lines'],
    properties: { lines: { type: 'array', items: { type: 'object', required: ['sku', 'count'] } } },
  });
  expect(document.channels().get('words')?.messages().all()[0]?.contentType()).toBe('text/plain');
});
