import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Cells } from '../../src/page/html/cells.js';
import { Live } from '../../src/page/http/live.js';
import { eventually } from '../support/eventually.js';

let server: Server | undefined;
let live: Live;
/** As the sampler would: figures are new. */
let sampled: (() => void) | undefined;
afterEach(() => {
  live.close();
  server?.closeAllConnections();
  server?.close();
});

const shared = {
  status: () => ({ state: 'connected', since: 0, text: '' }),
  jobs: () => [],
};
const watched = {
  watch(onSample: () => void) {
    sampled = onSample;
    return () => {
      sampled = undefined;
    };
  },
};

/** Serves the streams, whose views are named by the query. */
async function listen(unreadMs?: number): Promise<number> {
  live = new Live(watched, shared, unreadMs);
  const answer = (request: IncomingMessage, response: ServerResponse) =>
    live.open(new URL(request.url ?? '', 'http://localhost').searchParams, request, response);
  server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const text = (value: string): Cells => new Map([['ready', { text: value }]]);

test('a view that fails while it is pushed ends its own stream, not the process nor the other streams', async () => {
  const port = await listen();
  let isBroken = false;
  let shown = 'one';
  const failing = live.register(() => {
    if (isBroken) throw new Error('a figure that nobody expected');
    return text(shown);
  });
  const other = live.register(() => text(shown));
  const [first, second] = await Promise.all(
    [failing, other].map((view) => fetch(`http://127.0.0.1:${port}/?view=${view}`)),
  );
  isBroken = true;
  shown = 'two';
  // Nothing may be thrown at the one who tells that there are new figures: it is a timer.
  sampled?.();
  await expect(first?.text()).rejects.toThrow();
  const reader = second?.body?.pipeThrough(new TextDecoderStream()).getReader();
  let received = '';
  while (!received.includes('two')) received += (await reader?.read())?.value ?? '';
  await reader?.cancel();
});

test('a browser that no longer reads loses its place', async () => {
  const port = await listen(1);
  let n = 0;
  const view = live.register(() => text(`${n++} ${'x'.repeat(1_000_000)}`));
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(`GET /?view=${view} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  socket.pause();
  await eventually(() => sampled !== undefined);
  // It is ended by the server although it is still connected: nobody watches then.
  await eventually(() => {
    sampled?.();
    return sampled === undefined;
  });
  socket.destroy();
});

/** Opens streams of a view; resolves to how to leave them. */
async function openStreams(url: string, count: number): Promise<() => void> {
  const leave = new AbortController();
  await Promise.all(Array.from({ length: count }, () => fetch(url, { signal: leave.signal })));
  return () => leave.abort();
}

test('a hundred browsers watch, the next asks every few seconds, and one that leaves makes room', async () => {
  const port = await listen();
  const url = `http://127.0.0.1:${port}/?view=${live.register(() => text('one'))}`;
  const leave = await openStreams(url, 100);
  const polled = await (await fetch(url)).text();
  // The stream has an end, and the browser connects again.
  expect(polled).toContain('retry: 5000\n');
  expect(polled).toContain('event: polled\ndata: {"everyMs":5000}\n\n');
  expect(polled).toContain('event: cells\ndata: {"ready":["one","",""]}\n\n');
  leave();
  await eventually(() => sampled === undefined);
  const leaveAgain = await openStreams(url, 1);
  expect(sampled).toBeDefined();
  leaveAgain();
});

test('a browser has four streams at most, for it opens no more than six connections', async () => {
  const port = await listen();
  const url = `http://127.0.0.1:${port}/?view=${live.register(() => text('one'))}`;
  const leave = await openStreams(`${url}&browser=mine`, 4);
  expect(await (await fetch(`${url}&browser=mine`)).text()).toContain('event: polled');
  // Others have theirs.
  const leaveOther = await openStreams(`${url}&browser=other`, 4);
  leave();
  leaveOther();
});

test('a request for the headers alone takes no place', async () => {
  const port = await listen();
  const view = live.register(() => text('one'));
  const { status } = await fetch(`http://127.0.0.1:${port}/?view=${view}`, { method: 'HEAD' });
  expect(status).toBe(200);
  expect(sampled).toBeUndefined();
});
