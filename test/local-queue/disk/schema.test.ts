import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { operatorOf } from '../../../src/common/backend-of.js';
import { checkPeek } from '../../../src/common/operator/operator-requests.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { Database } from '../../../src/local-queue/disk/store/database.js';
import { queueNamed } from '../../../src/local-queue/disk/store/queue-definition.js';
import { QueueTable } from '../../../src/local-queue/disk/store/queue-table.js';
import { ADDED_COLUMNS, SCHEMA } from '../../../src/local-queue/disk/store/schema.js';
import { ExitGuard } from '../../../src/local-queue/disk/store/sqlite.js';
import { MessageView } from '../../../src/local-queue/disk/store/view/message-view.js';
import { WriteLock } from '../../../src/local-queue/disk/store/write-lock.js';
import { eventually } from '../../support/eventually.js';
import { inDatabase, newFolder, plainQueue } from './folders.js';

const page = readFileSync(new URL('../../../docs/disk.md', import.meta.url), 'utf8');

/** The queries of the page, each with what it is shown to answer: rows of cells. */
const examples = [...page.matchAll(/```sql\n(.*?)```\n\n```\n(.*?)```/gs)].map(([, sql = '', shown = '']) => {
  const [head = '', rule = '', ...rows] = shown.trimEnd().split('\n');
  const starts = [...rule.matchAll(/-+/g)].map(({ index }) => index);
  const cells = (row: string) => starts.map((start, column) => row.slice(start, starts[column + 1]).trim());
  return { sql, columns: cells(head), rows: rows.map(cells) };
});

test('the queries in docs/disk.md show the documented results', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('orders'));
  for (const [index, id] of ['first', 'second', 'third', 'fourth', 'fifth'].entries()) {
    const body = `{"n":${index + 1}}`;
    await broker.publish(
      { exchange: '', routingKey: 'orders' },
      { id, contentType: 'application/json', headers: {}, body },
    );
  }
  const settled: Promise<void>[] = [];
  await broker.subscribe('orders', { prefetch: 1 }, (delivery) => {
    const { id } = delivery.message;
    if (id === 'first') settled.push(delivery.deadLetter({ code: 'rejected', error: 'negative total' }));
    if (id === 'second') settled.push(delivery.retry(0, { code: 'failed', error: 'again' }));
  });
  await eventually(() => settled.length === 2);
  await Promise.all(settled);
  await broker.close();
  expect(inDatabase(folder, 'SELECT id FROM messages WHERE taken_at IS NOT NULL')).toEqual([]);
  // A message each that is handled and delayed, as others would see it meanwhile.
  inDatabase(
    folder,
    "UPDATE messages SET attempt = 1, redelivered = 0, place = id WHERE message_id = 'second'",
    "UPDATE messages SET attempt = 2, redelivered = 1, owner = NULL, due = 1e15, delayed = 1 WHERE message_id = 'third'",
    "UPDATE messages SET redelivered = 0 WHERE message_id IN ('fourth', 'fifth')",
    "INSERT INTO owners VALUES (99, 42, '42', '', '', '', 0, 0, 'mill', NULL)",
    "UPDATE messages SET owner = 99 WHERE message_id = 'second'",
    "UPDATE queues SET ready = 2 WHERE name = 'orders'",
  );
  expect(examples.length).toBe(3);
  for (const { sql, columns, rows } of examples) {
    const answer = inDatabase(folder, sql) as Record<string, unknown>[];
    expect(Object.keys(answer[0] ?? {})).toEqual(columns);
    expect(answer.map((row) => Object.values(row).map(String))).toEqual(rows);
  }
});

test('docs/disk.md names each table and column, and the files', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.close();
  const tables = inDatabase(
    folder,
    "SELECT t.name AS tableName, c.name AS columnName FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
  ) as { tableName: string; columnName: string }[];
  expect(tables.length).toBeGreaterThan(30);
  const missing = tables.filter(
    ({ tableName, columnName }) =>
      !page.includes(`\`${tableName}\``) || (columnName !== 'id' && !page.includes(`\`${columnName}\``)),
  );
  expect(missing).toEqual([]);
  const [{ user_version: version }] = inDatabase(folder, 'PRAGMA user_version') as [{ user_version: number }];
  expect(page).toContain(`\`PRAGMA user_version\` is the format, ${version}`);
  expect(SCHEMA).toContain(`user_version = ${version}`);
});

test('every query of a queue uses an index, however many messages wait', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.close();
  const plan = (sql: string) =>
    (inDatabase(folder, `EXPLAIN QUERY PLAN ${sql}`) as { detail: string }[])
      .map(({ detail }) => detail)
      .join('; ');
  const takes = {
    'SELECT * FROM messages INDEXED BY ready WHERE queue = 1 AND owner IS NULL AND due IS NULL ORDER BY rank DESC, place LIMIT 1':
      'SEARCH messages USING INDEX ready (queue=?)',
    'SELECT id FROM messages WHERE owner = 1 ORDER BY id LIMIT 1':
      'SEARCH messages USING COVERING INDEX handled (owner=?)',
    'SELECT min(due) FROM messages WHERE due IS NOT NULL': 'SEARCH messages USING COVERING INDEX due',
    'SELECT id, queue FROM messages WHERE due <= 1 ORDER BY due, id LIMIT 1':
      'SEARCH messages USING INDEX due (due<?)',
    'SELECT id FROM messages WHERE delayed > 1 ORDER BY delayed LIMIT 1': 'INDEX delayed (delayed>?)',
    'DELETE FROM messages WHERE id BETWEEN 1 AND 2':
      'SEARCH messages USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)',
  };
  for (const [sql, expected] of Object.entries(takes)) expect(plan(sql)).toContain(expected);
});

// `column index out of range` is what Node 22.13 to 22.16 say to `?1`.
test('no statement has a numbered parameter, which the first versions of node:sqlite can not bind', () => {
  const room = new URL('../../../src/local-queue/disk/store/', import.meta.url);
  const sources = readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(name, room), 'utf8'));
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.flatMap((source) => source.match(/\?\d+/g) ?? [])).toEqual([]);
});

test('a folder of an earlier version gets the missing columns, and keeps its messages', async () => {
  const folder = newFolder();
  const first = await openDiskBroker(folder);
  await first.declare(plainQueue('orders'));
  await first.publish(
    { exchange: '', routingKey: 'orders' },
    { id: 'A', contentType: 'text/plain', headers: {}, body: 'a' },
  );
  await first.close();
  const columns = () =>
    inDatabase(
      folder,
      "SELECT t.name AS t, c.name AS c FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1, 2",
    );
  const complete = columns();
  inDatabase(folder, ...ADDED_COLUMNS.map(([table, column]) => `ALTER TABLE ${table} DROP COLUMN ${column}`));
  expect(columns()).not.toEqual(complete);
  const second = await openDiskBroker(folder);
  expect(await operatorOf(second).queue('orders')).toMatchObject({ ready: 1, rates: { in: 0, out: 0 } });
  await second.close();
  expect(columns()).toEqual(complete);
});

test('a message shows no time of its delivery if its owner is of an earlier version, which does not set it', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('orders'));
  await broker.publish(
    { exchange: '', routingKey: 'orders' },
    { id: 'A', contentType: 'text/plain', headers: {}, body: 'a' },
  );
  await broker.close();
  const peek = () => {
    const database = new Database(folder, new WriteLock(new ExitGuard()));
    const queues = new QueueTable(database);
    queues.begin();
    const request = checkPeek('orders', { state: 'unsettled' });
    const { messages } = new MessageView(database).peek(queueNamed(queues, 'orders'), request);
    database.close();
    return messages.map(({ holder, heldSince }) => ({ holder, heldSince }));
  };
  // The message was taken before, by a newer version whose process died.
  inDatabase(
    folder,
    "INSERT INTO owners VALUES (99, 42, '42', '', '', '', 0, 0, 'mill', NULL)",
    'UPDATE messages SET owner = 99, taken_at = 5000',
  );
  expect(peek()).toEqual([{ holder: 'process 42', heldSince: undefined }]);
  inDatabase(folder, 'UPDATE owners SET since = 4000');
  expect(peek()).toEqual([{ holder: 'process 42', heldSince: 5000 }]);
});
