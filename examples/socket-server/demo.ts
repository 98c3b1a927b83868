/** The clients of the demonstration: two that send in parts, and a slow reader beside a fast one. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Two connections that each send the same message in three parts. */
export async function sendInParts(port: number): Promise<void> {
  const parts = ['This is the message. ', 'It will be sent ', 'in parts.'];
  const sockets = [await open(port), await open(port)];
  for (const part of parts) {
    for (const [index, socket] of sockets.entries()) {
      console.log(`client ${index + 1}: sends '${part}'`);
      socket.write(part);
    }
    await delay(20);
  }
  for (const [index, socket] of sockets.entries()) {
    socket.end(); // nothing more to send; the answer still arrives
    console.log(`client ${index + 1}: got '${await allOf(socket)}'`);
  }
}

/** One client sends far more than it reads, and has to wait; another one still gets its answers. */
export async function readSlowly(port: number): Promise<void> {
  const slow = await open(port);
  slow.pause();
  const line = `${'x'.repeat(64 * 1024 - 1)}\n`;
  let sent = 0;
  while (slow.writableLength < 1024 * 1024) {
    // no more bytes can be sent: all buffers on the way are full
    slow.write(line);
    sent += line.length;
    await delay(1);
  }
  console.log('slow client: sends without reading, and is made to wait');

  const fast = await open(port);
  fast.end('are you there?\n');
  console.log(`fast client: got '${(await allOf(fast)).trim()}' meanwhile`);

  slow.end();
  const received = (await allOf(slow)).length;
  console.log(`slow client: reads at last, and gets ${received === sent ? 'all' : 'not all'} of its answers`);
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.setEncoding('utf8');
  await once(socket, 'connect');
  return socket;
}

async function allOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const part of socket) text += part;
  return text;
}
