/** A demonstration of the server and its clients; with `--serve` only the server; with `operator` a person answers. */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { readSlowly, sendInParts } from './demo.ts';
import { type Answer, createAnsweringServer } from './server.ts';

const { values, positionals } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', short: 'p', default: '7777' },
    serve: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [mode = values.serve ? 'serve' : 'demo'] = positionals;
if (mode === 'demo') await demonstrate();
else if (mode === 'serve') await serve(createAnsweringServer());
else if (mode === 'operator') await serve(createAnsweringServer(operator()));
else {
  console.error('socket-server [--serve | operator] [-p PORT] [--host HOST]');
  process.exit(2);
}

async function demonstrate(): Promise<void> {
  const server = createAnsweringServer();
  const port = await listen(server, 0, '127.0.0.1');
  await sendInParts(port);
  await readSlowly(port);
  server.close();
}

/** Runs until Ctrl+C, which also ends the connections. */
async function serve(server: Server): Promise<void> {
  const clients = new Set<Socket>();
  server.on('connection', (client) => {
    clients.add(client);
    client.once('close', () => clients.delete(client));
  });
  process.once('SIGINT', () => {
    server.close();
    for (const client of clients) client.destroy();
    process.stdin.destroy();
  });
  const { host } = values;
  const port = await listen(server, Number(values.port), host);
  console.log(
    `listening on ${host}:${port}; talk to it with socket-server/client -p ${port}. To exit press CTRL+C`,
  );
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host, 4096);
  try {
    await once(server, 'listening');
  } catch (error) {
    console.error(
      `can't listen on ${host}:${port}: ${error instanceof Error ? error.message : error}; choose another one with -p`,
    );
    process.exit(1);
  }
  return (server.address() as AddressInfo).port;
}

/** A person at the terminal answers one message after the other; the clients wait, each in its own queue. */
function operator(): Answer {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  let last: Promise<unknown> = Promise.resolve();
  return (message, client) => {
    const answer = last.then(() => terminal.question(`${client} says '${message.trimEnd()}'\nyou: `));
    last = answer.catch(() => {});
    return answer.then((text) => `${text}\n`);
  };
}
