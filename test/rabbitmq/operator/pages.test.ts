import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { operatorOf } from '../../../src/common/backend-of.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import { getJson, getPages, type ManagementAccess } from '../../../src/rabbitmq/operator/management-api.js';
import { amqpUrl } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { rejection } from '../../support/rejection.js';

/** A management API with this many objects, and the paths that it was asked for. */
async function api(total: number): Promise<{ readonly access: ManagementAccess; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://any');
    asked.push(`${pathname} ${searchParams.get('page')}`);
    const [page, size] = [Number(searchParams.get('page')), Number(searchParams.get('page_size'))];
    const from = (page - 1) * size;
    const items = Array.from({ length: Math.min(size, total - from) }, (_, i) => ({ name: `q${from + i}` }));
    const counts = { page_count: Math.ceil(total / size), filtered_count: total, total_count: total + 7 };
    response.end(JSON.stringify({ ...counts, items }));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const base = new URL(`http://127.0.0.1:${port}/behind/a/proxy/`);
  const access = { base, username: 'u', password: 'p', tls: {}, timeoutMs: 30_000, isGiven: true };
  return { access, asked };
}

test('a list of many pages is read up to a limit, and the rest is counted', async () => {
  const { access, asked } = await api(1300);
  expect(await getPages(access, 'queues/%2F?sort=name', 5, undefined)).toMatchObject({
    items: { length: 1300 },
    unread: 0,
  });
  expect(asked).toEqual([1, 2, 3].map((page) => `/behind/a/proxy/api/queues/%2F ${page}`));
  const cut = await getPages(access, 'queues/%2F?sort=name', 2, undefined);
  expect(cut.items).toHaveLength(1000);
  expect(cut.unread).toBe(300);
  expect(asked).toHaveLength(5);
});

test('a server that is too slow is not asked any further after the time limit', async () => {
  const given = new Deferred<string>();
  const server = createServer((request, response) => {
    response.once('close', () => given.resolve(request.url ?? ''));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const managementUrl = `http://u:p@127.0.0.1:${(server.address() as AddressInfo).port}`;
  const broker = await connect(amqpUrl(), { managementUrl });
  onTestFinished(() => broker.close());
  await rejection(operatorOf(broker).queues({ timeoutMs: 100 }), 'TIMEOUT');
  // The first request is for the overview; it was ended, and is the only one.
  expect(await given.promise).toMatch(/^\/api\/overview/);
});

test.each([
  [
    'a wrong password',
    401,
    '{"error":"not_authorised","reason":"Login failed"}',
    /Login failed\): check the user/,
  ],
  [
    'a wrong password since 4.0',
    401,
    '{"error":"not_authorized","reason":"Not_Authorized"}',
    /Not_Authorized\): check the user/,
  ],
  ['a user without a tag', 401, '{"reason":"Not management user"}', /Not management user\): give it the tag/],
])('%s is refused with what to do', async (_, status, body, text) => {
  const server = createServer((__, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const access = { username: 'u', password: 'secret', tls: {}, timeoutMs: 30_000, isGiven: true };
  const asked = getJson({ ...access, base: new URL(`http://127.0.0.1:${port}`) }, 'overview', undefined);
  const { message } = await rejection(asked, 'ACCESS_REFUSED');
  expect(message).toMatch(text);
  const overTls = getJson({ ...access, base: new URL(`https://127.0.0.1:${port}`) }, 'overview', undefined);
  expect((await rejection(overTls, 'UNREACHABLE')).message).toContain('does not speak TLS');
});
