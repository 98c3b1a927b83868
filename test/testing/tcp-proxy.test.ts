import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { eventually, untilAsserted } from '../support/eventually.js';

/** An echo server that tells what it has received. */
let server: Server;
let proxy: TcpProxy;
let atServer: Socket[];
let serverReceived: Buffer[];
const clients: TestClient[] = [];

interface TestClient {
  readonly socket: Socket;
  /** All that has come so far. */
  received(): string;
  /** The code of the error, or 'end', once the connection is over. */
  readonly over: Promise<string>;
}

beforeEach(async () => {
  atServer = [];
  serverReceived = [];
  server = createServer((socket) => {
    atServer.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      serverReceived.push(chunk);
      socket.write(chunk);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  proxy = await TcpProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await proxy.close();
  for (const socket of atServer) socket.destroy();
  server.close();
});

async function client(): Promise<TestClient> {
  const socket = connect(proxy.port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => {
    received += text;
  });
  let code = 'end';
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code ?? error.message;
  });
  const over = new Promise<string>((resolve) => socket.on('close', () => resolve(code)));
  const testClient = { socket, over, received: () => received };
  clients.push(testClient);
  await once(socket, 'connect');
  return testClient;
}

async function echoed({ socket, received }: TestClient, text: string): Promise<void> {
  const before = received();
  socket.write(text);
  await untilAsserted(() => expect(received()).toBe(before + text));
}

function received(): string {
  return Buffer.concat(serverReceived).toString();
}

test('passes bytes on, both ways, and counts them', async () => {
  const one = await client();
  await echoed(one, 'hello');
  await echoed(one, ' world');
  expect(proxy.passed).toEqual({ 'to-broker': 11, 'to-client': 11 });
  expect(proxy.connections).toBe(1);
});

test('passes on more than fits into the buffers on the way', async () => {
  const one = await client();
  const large = 'x'.repeat(20_000_000);
  one.socket.write(large);
  await untilAsserted(() => expect(one.received().length).toBe(large.length));
});

test('passes on the end of a stream', async () => {
  const one = await client();
  await echoed(one, 'hello');
  one.socket.end('bye');
  expect(await one.over).toBe('end');
  expect(one.received()).toBe('hellobye');
  await untilAsserted(() => expect(proxy.connections).toBe(0));
});

test('rewrites host and port of an address and nothing else', () => {
  expect(proxy.url('amqp://me:p%40ss@broker.example:5673/%2f?heartbeat=5')).toBe(
    `amqp://me:p%40ss@127.0.0.1:${proxy.port}/%2f?heartbeat=5`,
  );
  expect(proxy.url('amqp://localhost')).toBe(`amqp://127.0.0.1:${proxy.port}`);
});

test('cut resets both sides, and takes new connections', async () => {
  const one = await client();
  await echoed(one, 'hello');
  const [there] = atServer as [Socket];
  const errorThere = once(there, 'error');
  proxy.cut();
  expect(await one.over).toBe('ECONNRESET');
  expect((await errorThere)[0]).toMatchObject({ code: 'ECONNRESET' });
  expect(proxy.connections).toBe(0);
  await echoed(await client(), 'again');
});

test('a reset by one side reaches the other', async () => {
  const one = await client();
  await echoed(one, 'hello');
  (atServer as [Socket])[0].resetAndDestroy();
  expect(await one.over).toBe('ECONNRESET');
});

test('a server that is not there resets the client', async () => {
  const gone = await TcpProxy.start({ host: '127.0.0.1', port: 1 });
  const socket = connect(gone.port, '127.0.0.1');
  const [error] = await once(socket, 'error');
  expect(error).toMatchObject({ code: 'ECONNRESET' });
  await gone.close();
});

test('refuse lets nobody new in, leaves those inside alone, and can be taken back', async () => {
  const inside = await client();
  await echoed(inside, 'hello');
  await proxy.refuse(true);
  await proxy.refuse(true);
  await expect(client()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await echoed(inside, ' still');
  await proxy.refuse(false);
  await echoed(await client(), 'back');
});

test('freeze holds all bytes and the end back, also of new connections, and thaw lets them go', async () => {
  const one = await client();
  await echoed(one, 'hello');
  proxy.freeze();
  one.socket.write(' frozen');
  const late = await client();
  late.socket.end('late');
  await untilAsserted(() => expect(proxy.connections).toBe(2));
  // The bytes are past the clients: what passes now would have to be the proxy's doing.
  await untilAsserted(() => expect(one.socket.writableLength + late.socket.writableLength).toBe(0));
  expect(received()).toBe('hello');
  proxy.thaw();
  expect(await late.over).toBe('end');
  expect(late.received()).toBe('late');
  await untilAsserted(() => expect(one.received()).toBe('hello frozen'));
});

test('a reset does not get through while frozen', async () => {
  const one = await client();
  await echoed(one, 'hello');
  const [there] = atServer as [Socket];
  let heard = false;
  there.on('close', () => {
    heard = true;
  });
  proxy.freeze();
  one.socket.resetAndDestroy();
  await one.over;
  await echoedElsewhere();
  expect(heard).toBe(false);
  proxy.thaw();
  await untilAsserted(() => expect(heard).toBe(true));
});

/** A full round through the same server past the proxy: whatever was on its way before has arrived by then. */
async function echoedElsewhere(): Promise<void> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('elsewhere');
  await once(socket, 'data');
  socket.destroy();
}

test('half open: loses the bytes of one direction only; after the thaw the torn connection is reset', async () => {
  const one = await client();
  await echoed(one, 'hello');
  proxy.halfOpen('to-broker');
  one.socket.write('lost');
  (atServer as [Socket])[0].write(' from the server');
  await untilAsserted(() => expect(one.received()).toBe('hello from the server'));
  expect(received()).toBe('hello');
  proxy.thaw();
  expect(await one.over).toBe('ECONNRESET');
  await echoed(await client(), 'whole again');
});

test('half open the other way: the server gets all, the client nothing', async () => {
  const one = await client();
  await echoed(one, 'hello');
  proxy.halfOpen('to-client');
  one.socket.write(' there');
  await untilAsserted(() => expect(received()).toBe('hello there'));
  expect(one.received()).toBe('hello');
});

test('slow lets at most so many bytes a second through', async () => {
  const one = await client();
  proxy.slow(2_000);
  const begin = performance.now();
  one.socket.write('x'.repeat(1_000));
  await untilAsserted(() => expect(received().length).toBe(1_000));
  // The last piece, a tenth of a second's worth, is not waited for.
  expect(performance.now() - begin).toBeGreaterThan(400);
  proxy.slow(Number.POSITIVE_INFINITY);
  await untilAsserted(() => expect(one.received().length).toBe(1_000));
});

test('delay passes every byte on that much later, in order, and each on its own', async () => {
  const one = await client();
  proxy.delay(300);
  const begin = performance.now();
  for (let count = 0; count < 100; count++) {
    one.socket.write(`${count},`);
    if (count % 10 === 0) await new Promise(setImmediate);
  }
  await untilAsserted(() =>
    expect(one.received()).toBe(Array.from({ length: 100 }, (_, n) => `${n},`).join('')),
  );
  expect(performance.now() - begin).toBeGreaterThanOrEqual(599);
  one.socket.end();
  expect(await one.over).toBe('end');
  proxy.delay(0);
  await echoed(await client(), 'at once');
  expect(() => proxy.delay(-1)).toThrow(RangeError);
});

test('delay bounds what it holds, and loses nothing', async () => {
  const one = await client();
  proxy.delay(20);
  const large = 'x'.repeat(20_000_000);
  one.socket.write(large);
  await untilAsserted(() => expect(one.received().length).toBe(large.length));
});

test('resets all connections after so many bytes, once', async () => {
  const one = await client();
  const two = await client();
  await echoed(one, 'hello');
  await echoed(two, 'hello');
  serverReceived = [];
  const reset = proxy.resetAfterBytes(7, 'to-broker');
  one.socket.write('12345');
  await untilAsserted(() => expect(received()).toBe('12345'));
  two.socket.write('67890');
  await reset;
  expect(await one.over).toBe('ECONNRESET');
  expect(await two.over).toBe('ECONNRESET');
  expect(received()).toBe('1234567'.slice(0, received().length));
  await echoed(await client(), 'more than seven bytes');
});

test('close resets what is connected and listens no more', async () => {
  const one = await client();
  await echoed(one, 'hello');
  proxy.freeze();
  await proxy.close();
  expect(await one.over).toBe('ECONNRESET');
  await expect(client()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(proxy.refuse(false)).rejects.toThrow('closed');
});

test('cut lets go of a socket whose end is still on its way', async () => {
  const one = await client();
  await echoed(one, 'hello');
  const end = Socket.prototype.end as (this: Socket) => Socket;
  const ended = vi.spyOn(Socket.prototype, 'end').mockImplementation(function (this: Socket) {
    end.call(this);
    // `end` began, and is not over before the next turn of the event loop.
    proxy.cut();
    return this;
  });
  try {
    end.call(one.socket);
    await eventually(() => ended.mock.calls.length > 0);
  } finally {
    ended.mockRestore();
  }
  await eventually(() => !process.getActiveResourcesInfo().includes('TCPSocketWrap'));
});
