import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connect, createProducer, defineQueue } from '../../src/index.js';
import { Millrace } from '../cli/support/spawn-millrace.js';
import { anyValue } from './any-value.js';
import { ask, type Served, serve } from './served.js';

let folder: string;
let served: Served;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-page-'));
  await using broker = await connect(`local:${folder}`);
  await createProducer(broker, defineQueue('orders', anyValue)).send('one');
});
beforeEach(async () => {
  served = await serve(['-u', `local:${folder}`, '-q', 'orders']);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const action = (headers: Record<string, string>, body: object = { action: 'purge', queue: 'orders' }) =>
  ask(`${served.origin}/actions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: served.cookie, ...headers },
    body: JSON.stringify(body),
  });

const ready = async () => {
  await using broker = await connect(`local:${folder}`);
  return (await broker.inspect('orders')).ready;
};

describe('the page lets in', () => {
  test('whoever has the token, and remembers the browser by a cookie that scripts and other sites do not get', async () => {
    const { status, headers, body } = await ask(served.address);
    expect(status).toBe(200);
    expect(String(headers['set-cookie'])).toMatch(/; HttpOnly; SameSite=Strict$/);
    // The token leaves the address.
    expect(body).toContain('url=/"');
    const page = await ask(`${served.origin}/`, { headers: { cookie: served.cookie } });
    expect(page.body).toContain('orders');
    // Another server of this machine has set one of the same name, for a longer path.
    const cookie = `${served.cookie.replace(/=.*/, '=x')}; ${served.cookie}`;
    expect((await ask(`${served.origin}/`, { headers: { cookie } })).status).toBe(200);
  });

  test('nobody without it, with a guessed one or a cookie of another page', async () => {
    const other = served.cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    const tries = [
      await ask(`${served.origin}/`),
      await ask(`${served.origin}/?token=`),
      await ask(`${served.origin}/?token=${'A'.repeat(32)}`),
      await ask(`${served.origin}/events?view=x`, { headers: { cookie: other } }),
      await ask(`${served.origin}/q/orders`, { headers: { cookie: other } }),
      await ask(`${served.origin}/assets/page.js`),
    ];
    expect(tries.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401]);
    for (const { body } of tries) expect(body).not.toContain('orders');
  });

  test('no name that a foreign site may have', async () => {
    const headers = { host: 'evil.example', cookie: served.cookie };
    expect((await ask(`${served.origin}/`, { headers })).status).toBe(421);
    expect((await ask(served.address, { headers: { host: 'evil.example' } })).status).toBe(421);
  });

  test('no token into the address of another server', async () => {
    const { body } = await ask(served.address.replace('/?', '//evil.example/?'));
    expect(body).toContain('url=/evil.example/"');
    // As a proxy would ask.
    const path = served.address.replace(served.origin, 'http://evil.example');
    expect((await ask(served.origin, { path })).body).toContain('url=/"');
  });

  test('no foreign site that embeds a part of it; one may link to it', async () => {
    const get = (site: string, mode: string, dest?: string) => {
      const fetched = { 'sec-fetch-site': site, 'sec-fetch-mode': mode };
      const headers = { cookie: served.cookie, ...fetched, ...(dest && { 'sec-fetch-dest': dest }) };
      return ask(`${served.origin}/q/orders`, { headers });
    };
    expect((await get('cross-site', 'no-cors')).status).toBe(403);
    // Another port of this machine.
    expect((await get('same-site', 'cors')).status).toBe(403);
    expect((await get('same-site', 'navigate', 'iframe')).status).toBe(403);
    expect((await get('cross-site', 'navigate')).status).toBe(200);
    expect((await get('cross-site', 'navigate', 'document')).status).toBe(200);
    expect((await get('same-origin', 'cors')).status).toBe(200);
  });
});

describe('nothing is done', () => {
  const own = { 'x-millrace-page': '1' };

  test('without the header that foreign sites may not send', async () => {
    expect((await action({})).status).toBe(403);
    expect(await ready()).toBe(1);
  });

  test('for a foreign origin or site', async () => {
    expect((await action({ ...own, origin: 'http://evil.example' })).status).toBe(403);
    expect((await action({ ...own, origin: 'null' })).status).toBe(403);
    expect((await action({ ...own, 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await action({ ...own, 'sec-fetch-site': 'same-site' })).status).toBe(403);
    expect(await ready()).toBe(1);
  });

  test('without a cookie, as a form, or by GET', async () => {
    expect((await action({ ...own, cookie: '' })).status).toBe(401);
    expect((await action({ ...own, 'content-type': 'text/plain' })).status).toBe(415);
    expect((await ask(`${served.origin}/actions`, { headers: { cookie: served.cookie } })).status).toBe(404);
    expect(await ready()).toBe(1);
  });

  test('to queues that the page does not manage, or with invalid names', async () => {
    expect((await action(own, { action: 'purge', queue: 'others' })).status).toBe(403);
    expect((await action(own, { action: 'move', queue: 'orders', to: 'others', expected: 1 })).status).toBe(
      403,
    );
    // Its dialog said that nothing is moved, whatever has come since.
    expect((await action(own, { action: 'move', queue: 'orders', to: 'orders', expected: 0 })).status).toBe(
      400,
    );
    expect((await action(own, { action: 'delete', queue: 'orders' })).status).toBe(400);
    expect((await action(own, { action: 'replay', queue: 'orders', ids: 'all' })).status).toBe(400);
    expect((await action(own, { action: 'replay', queue: 'orders', expected: -1 })).status).toBe(400);
    expect(await ready()).toBe(1);
  });

  test('for a body that never comes: the refusal ends the connection', async () => {
    const refused = async (path: string, headers = '') => {
      const socket = connectSocket(Number(new URL(served.origin).port), '127.0.0.1');
      socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n${headers}\r\n`);
      const answer = await text(socket);
      // Without it, the server waits ten seconds for the body.
      expect(answer).toMatch(/^connection: close\r$/im);
      return answer.slice('HTTP/1.1 '.length, answer.indexOf('\r\n'));
    };
    const signedIn = `Cookie: ${served.cookie}\r\nX-Millrace-Page: 1\r\n`;
    expect(await refused('/actions')).toBe('403 Forbidden');
    expect(await refused('/nowhere', signedIn)).toBe('404 Not Found');
    expect(await refused('/actions', signedIn)).toBe('415 Unsupported Media Type');
  });

  test('without end: a request that is too large is refused', async () => {
    expect((await action(own, { action: 'purge', queue: 'x'.repeat(600_000) })).status).toBe(413);
  });
});

test('a path leads to no file, and an inherited name to nothing', async () => {
  for (const path of [
    '/assets/..%2fapp.js',
    '/assets/../app.js',
    '/assets/constructor',
    '/../../../../etc/passwd',
    '/q/%',
    '/q/%ff',
    '/q/__proto__',
    `/q/${'x'.repeat(300)}`,
    '/jobs/constructor',
    '/q/orders/dead/body?id=__proto__',
  ]) {
    const { status } = await ask(served.origin, { path, headers: { cookie: served.cookie } });
    expect([path, status]).toEqual([path, 404]);
  }
  const { status } = await ask(`${served.origin}/?order=constructor&f=__proto__&page=-1e9&all=x`, {
    headers: { cookie: served.cookie },
  });
  expect(status).toBe(200);
});

test('other methods than those of the page are refused', async () => {
  const headers = { cookie: served.cookie, 'x-millrace-page': '1' };
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    const { status, headers: answered } = await ask(`${served.origin}/actions`, { method, headers });
    expect([method, status, answered.allow]).toEqual([method, 405, 'GET, HEAD, POST']);
  }
});

test.each([
  ['a folder that does not exist', 'none'],
  ['a folder without queues', ''],
])('%s has no page: the command says how to create a queue', async (_, name) => {
  const empty = join(folder, 'empty');
  await mkdir(empty, { recursive: true });
  const url = `local:${join(empty, name)}`;
  const command = new Millrace(['ui', '-u', url, '--port', '0']);
  expect(await command.exit()).toBe(4);
  expect(command.stdout).toBe('');
  expect(command.stderr).toContain('has no queues yet; to create one: millrace send hello -u local:');
  if (name !== '') expect(existsSync(join(empty, name))).toBe(false);
});

test('no answer lets a script, a frame or a form of others in', async () => {
  const { headers } = await ask(`${served.origin}/`, { headers: { cookie: served.cookie } });
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(headers['content-security-policy']).not.toContain('unsafe');
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
  });
});

test('the page ends with its process, also while a browser listens', async () => {
  const own = await serve(['-u', `local:${folder}`]);
  const listening = ask(`${own.origin}/events?view=none`, { headers: { cookie: own.cookie } });
  expect((await listening).body).toContain('event: reload');
  own.process.child.kill('SIGTERM');
  expect(await own.process.exit()).toBe(0);
});
