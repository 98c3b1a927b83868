/** Answers what clients send in upper case. One thread, any number of clients, and for each of them a queue with room for few. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { LocalQueue } from 'millrace';

const QUEUED_MESSAGES = 16;
const MAX_MESSAGE_CHARACTERS = 64 * 1024;
/** A client that pauses in the middle of a line for so long gets an answer to what it has sent of it. */
const PAUSE_MS = 500;

export type Answer = (message: string, client: string) => string | Promise<string>;

/** `answer` is given each message with its line end, or without one where the client paused or ended there. */
export function createAnsweringServer(answer: Answer = (message) => message.toUpperCase()): Server {
  // Half open: a client that has said all it had to say still gets its answers. Kept alive: one that vanished
  // without a word is found out.
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
  return createServer(options, (socket) => {
    // A client that leaves is nobody's failure, and least of all that of the others.
    serve(socket, answer).catch(() => socket.destroy());
  });
}

async function serve(socket: Socket, answer: Answer): Promise<void> {
  const messages = new LocalQueue<string>({ capacity: QUEUED_MESSAGES });
  const gone = new AbortController();
  socket.on('error', () => {}); // 'close' follows, and says all that is needed
  socket.once('close', () => {
    messages.close({ discard: true });
    gone.abort();
  });
  await Promise.all([listen(socket, messages), reply(socket, messages, answer, gone.signal)]);
}

/** Reads on only when the queue has room: TCP then makes this client wait, and nobody else. */
async function listen(socket: Socket, messages: LocalQueue<string>): Promise<void> {
  let begun = '';
  let pause: NodeJS.Timeout | undefined;
  const flush = () => {
    if (begun !== '' && messages.tryPut(begun)) begun = '';
  };
  socket.once('close', () => clearTimeout(pause));
  for await (const part of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    clearTimeout(pause);
    const lines = (begun + part).split(/(?<=\n)/); // a message may come in parts, and a part may hold many messages
    begun = lines.at(-1)?.endsWith('\n') ? '' : (lines.pop() ?? '');
    if (begun.length > MAX_MESSAGE_CHARACTERS) throw new Error('a message without an end');
    for (const line of lines) await messages.put(line);
    pause = setTimeout(flush, PAUSE_MS);
  }
  clearTimeout(pause);
  if (begun !== '') await messages.put(begun); // the last line needs no line end
  messages.close();
}

/** Writes on only when the client has taken what was written. */
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
