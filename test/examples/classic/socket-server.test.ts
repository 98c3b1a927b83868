import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../support/eventually.js';
import { buildExamples } from '../support/build-examples.js';
import { noPython, python } from '../support/python.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { Example, linesOf } from '../support/run-example.js';

const HOST = fileURLToPath(new URL('./upper-case-host.mjs', import.meta.url));
const MIB = 1024 * 1024;
beforeAll(buildExamples);
/** No more at once than the system keeps waiting for `accept`. */
const WAVE = 250;

interface State {
  readonly clients: number;
  readonly rssBytes: number;
  /** After a collection of garbage, so without what nobody holds any more. */
  readonly heldBytes: number;
}

/** The server in a process of its own, so that its memory is nobody else's. */
class Host {
  readonly port: number;
  readonly #child: ChildProcess;

  static async start(): Promise<Host> {
    const child = fork(HOST, { execArgv: ['--expose-gc'] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const [{ port }] = await once(child, 'message');
    return new Host(child, port);
  }

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  async state(): Promise<State> {
    const answer = once(this.#child, 'message');
    this.#child.send('state');
    return (await answer)[0];
  }

  async connect(): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: this.port, allowHalfOpen: true });
    socket.setEncoding('utf8').on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }
}

/** All that comes until the server ends the connection. */
async function answersOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const part of socket) text += part;
  return text;
}

async function inWaves<T, U>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  for (let from = 0; from < items.length; from += WAVE) {
    const wave = items.slice(from, from + WAVE);
    results.push(...(await Promise.all(wave.map((item, index) => work(item, from + index)))));
  }
  return results;
}

test('socket-server: 5,000 clients at once, half of which leave in the middle, and nothing is left of them', async () => {
  const host = await Host.start();
  const round = async () => {
    const clients = await inWaves(Array.from({ length: 5000 }), () => host.connect());
    await eventually(async () => (await host.state()).clients === 5000);
    const answers = await inWaves(clients, async (client, index) => {
      client.write('the be');
      if (index % 2 === 1) {
        client.resetAndDestroy();
        return undefined;
      }
      client.end(`ginning of ${index}\nand the end\n`);
      return answersOf(client);
    });
    await eventually(async () => (await host.state()).clients === 0);
    return answers;
  };

  const answers = await round();
  const expected = answers.map((_, index) =>
    index % 2 === 1 ? undefined : `THE BEGINNING OF ${index}\nAND THE END\n`,
  );
  expect(answers).toEqual(expected);

  const after = await host.state();
  await round();
  // When V8 gives back the pages that it does not need any more differs by version.
  const heldMore = (await host.state()).heldBytes - after.heldBytes;
  expect(heldMore, 'no more than after as many before').toBeLessThan(5 * MIB);
});

test('socket-server: a client that reads nothing is made to wait, alone, at no cost of memory', async () => {
  const host = await Host.start();
  const slow = await host.connect();
  slow.pause();
  const before = await host.state();

  // Far more than the buffers of both systems hold: it must come to a standstill.
  const line = `${'x'.repeat(16 * 1024 - 1)}\n`;
  let written = 0;
  const fill = (async () => {
    while (written < 64 * MIB) {
      written += line.length;
      if (!slow.write(line)) await once(slow, 'drain');
    }
    slow.end();
  })();
  let seen = -1;
  await eventually(
    () => {
      const stands = written === seen;
      seen = written;
      return stands;
    },
    { intervalMs: 300 },
  );

  const quick = await host.connect();
  quick.end('are you there?\n');
  expect(await answersOf(quick)).toBe('ARE YOU THERE?\n');
  expect((await host.state()).rssBytes - before.rssBytes).toBeLessThan(30 * MIB);
  expect(written, 'the slow one is made to wait').toBeLessThan(64 * MIB);

  let received = 0;
  slow.on('data', (text: string) => {
    received += text.length;
  });
  slow.resume();
  await Promise.all([fill, once(slow, 'end')]);
  expect(received, 'and gets all of its answers in the end').toBe(written);
  expect((await host.state()).rssBytes - before.rssBytes).toBeLessThan(60 * MIB);
});

test('socket-server: a message without an end costs its sender the connection', async () => {
  const host = await Host.start();
  const endless = await host.connect();
  const closed = new Promise((resolve) => endless.once('close', resolve));
  endless.resume().write('x'.repeat(MIB));
  await closed;
  await eventually(async () => (await host.state()).clients === 0);
});

test('socket-server prints its address, and ends on Ctrl+C with clients connected', async () => {
  const example = new Example('socket-server', '--serve', '-p', '0');
  const [, port] = await example.printed(/listening on 127\.0\.0\.1:(\d+)/);
  const client = connect(Number(port), '127.0.0.1').setEncoding('utf8');
  client.write('hello\n');
  expect((await once(client, 'data'))[0]).toBe('HELLO\n');

  const closed = once(client, 'close');
  example.child.kill('SIGINT');
  await closed;
  expect(await example.exit()).toBe(0);
});

test('socket-server: a last line without a line end is answered before the connection ends', async () => {
  const host = await Host.start();
  const client = await host.connect();
  client.end('the first\nand the last');
  expect(await answersOf(client)).toBe('THE FIRST\nAND THE LAST');
});

test('socket-server shows itself and ends', async () => {
  const lines = await linesOf('socket-server');
  await expectAsInReadme('socket-server', lines);
});

test('socket-server/client sends its input line by line; a taken port, or none that listens, is one line', async () => {
  const server = new Example('socket-server', '--serve', '-p', '0');
  const [, port = ''] = await server.printed(/listening on 127\.0\.0\.1:(\d+)/);

  const client = new Example({ stdin: 'one\ntwo' }, 'socket-server/client', '-p', port);
  expect(await client.exit(), client.stderr).toBe(0);
  expect(client.stdout).toBe('ONE\nTWO');

  const second = new Example('socket-server', '--serve', '-p', port);
  expect(await second.exit()).toBe(1);
  expect(second.stderr).toMatch(/^can't listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*\n$/);

  server.child.kill('SIGINT');
  expect(await server.exit()).toBe(0);
  const late = new Example({ stdin: 'x\n' }, 'socket-server/client', '-p', port);
  expect(await late.exit()).toBe(1);
  expect(late.stderr).toMatch(/^127\.0\.0\.1:\d+: .*ECONNREFUSED.*\n$/);
});

test('socket-server operator: a person answers each client in turn', async () => {
  const server = new Example({ stdin: 'open' }, 'socket-server', 'operator', '-p', '0');
  const [, port] = await server.printed(/listening on 127\.0\.0\.1:(\d+)/);
  const clients = [connect(Number(port), '127.0.0.1'), connect(Number(port), '127.0.0.1')];
  for (const client of clients) client.setEncoding('utf8');
  clients[0]?.write('hello\n');
  await server.printed(/says 'hello'/);
  clients[1]?.write('me too\n');
  const first = once(clients[0] as Socket, 'data');
  server.child.stdin?.write('good day\n');
  expect((await first)[0]).toBe('good day\n');
  await server.printed(/says 'me too'/);
  const second = once(clients[1] as Socket, 'data');
  server.child.stdin?.write('you too\n');
  expect((await second)[0]).toBe('you too\n');
  server.child.kill('SIGINT');
  expect(await server.exit()).toBe(0);
});

test.skipIf(noPython())(
  `socket-server: the client of the tutorials is answered part by part ${noPython() ?? ''}`,
  async () => {
    const host = await Host.start();
    expect(await python('multiclient.py', String(host.port))).toEqual(
      ['THIS IS THE MESSAGE. ', 'IT WILL BE SENT ', 'IN PARTS.'].flatMap((part) => [
        `received b'${part}'`,
        `received b'${part}'`,
      ]),
    );
  },
);
