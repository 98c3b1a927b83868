import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Cells } from '../../src/page/cells.js';
import { Live } from '../../src/page/live.js';
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
    live.open(
      new URL(request.url ?? '', 'http://localhost').searchParams.get('view') ?? '',
      request,
      response,
    );
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

test('a hundred browsers watch, the next is told to come later, and one that leaves makes room', async () => {
  const port = await listen();
  const view = live.register(() => text('one'));
  const open = async () => {
    const leave = new AbortController();
    const { status } = await fetch(`http://127.0.0.1:${port}/?view=${view}`, { signal: leave.signal });
    return { status, leave };
  };
  const all = await Promise.all(Array.from({ length: 101 }, open));
  expect(all.filter(({ status }) => status === 503)).toHaveLength(1);
  for (const { leave } of all) leave.abort();
  await eventually(() => sampled === undefined);
  const again = await open();
  expect(again.status).toBe(200);
  again.leave.abort();
});

test('a request for the headers alone takes no place', async () => {
  const port = await listen();
  const view = live.register(() => text('one'));
  const { status } = await fetch(`http://127.0.0.1:${port}/?view=${view}`, { method: 'HEAD' });
  expect(status).toBe(200);
  expect(sampled).toBeUndefined();
});
