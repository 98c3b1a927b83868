/** Answers clients in upper case. One thread, any number of clients, and a small queue for each of them. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { LocalQueue } from 'millrace';

const QUEUED_MESSAGES = 16;
const MAX_MESSAGE_CHARACTERS = 64 * 1024;
/** If a client pauses in the middle of a line for so long, the part that it has sent is answered. */
const PAUSE_MS = 500;

export type Answer = (message: string, client: string) => string | Promise<string>;

/** `answer` receives each message with its line end, or without one if the client paused or ended there. */
export function createAnsweringServer(answer: Answer = (message) => message.toUpperCase()): Server {
  // Half open: a client that has closed its sending side still gets its answers. Keep-alive: one that has disappeared
  // is detected.
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
  return createServer(options, (socket) => {
    // A client that disconnects is not an error, and must not affect the others.
    serve(socket, answer).catch(() => socket.destroy());
  });
}

async function serve(socket: Socket, answer: Answer): Promise<void> {
  const messages = new LocalQueue<string>({ capacity: QUEUED_MESSAGES });
  const gone = new AbortController();
  socket.on('error', () => {}); // 'close' follows, and is enough
  socket.once('close', () => {
    messages.close({ discard: true });
    gone.abort();
  });
  await Promise.all([listen(socket, messages), reply(socket, messages, answer, gone.signal)]);
}

/** Reads only when the queue has room: TCP then makes this client wait, but no other. */
async function listen(socket: Socket, messages: LocalQueue<string>): Promise<void> {
  let begun = '';
  let pause: NodeJS.Timeout | undefined;
  const flush = () => {
    if (begun !== '' && messages.tryPut(begun)) begun = '';
  };
  socket.once('close', () => clearTimeout(pause));
  for await (const part of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    clearTimeout(pause);
    const lines = (begun + part).split(/(?<=\n)/); // a message may arrive in parts, and a part may hold many messages
    begun = lines.at(-1)?.endsWith('\n') ? '' : (lines.pop() ?? '');
    if (begun.length > MAX_MESSAGE_CHARACTERS) throw new Error('a message without an end');
    for (const line of lines) await messages.put(line);
    pause = setTimeout(flush, PAUSE_MS);
  }
  clearTimeout(pause);
  if (begun !== '') await messages.put(begun); // the last line needs no line end
  messages.close();
}

/** Writes only when the client has taken what was written before. */
async function reply(
  socket: Socket,
  messages: LocalQueue<string>,
  answer: Answer,
  gone: AbortSignal,
): Promise<void> {
  const client = `${socket.remoteAddress}:${socket.remotePort}`;
  for await (const message of messages) {
    const text = await answer(message, client);
    if (!socket.writable) return;
    if (!socket.write(text)) await once(socket, 'drain', { signal: gone });
  }
  socket.end();
}
