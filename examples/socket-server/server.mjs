/** Answers each line in upper case. One thread, any number of clients, and for each of them a queue with room for few. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { LocalQueue } from 'millrace';

const QUEUED_MESSAGES = 16;
const MAX_MESSAGE_CHARACTERS = 64 * 1024;

export function createUpperCaseServer() {
  // Half open: a client that has said all it had to say still gets its answers. Kept alive: one that vanished
  // without a word is found out.
  const options = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
  return createServer(options, (socket) => {
    // A client that leaves is nobody's failure, and least of all that of the others.
    serve(socket).catch(() => socket.destroy());
  });
}

async function serve(socket) {
  /** @type {LocalQueue<string>} */
  const messages = new LocalQueue({ capacity: QUEUED_MESSAGES });
  const gone = new AbortController();
  socket.on('error', () => {}); // 'close' follows, and says all that is needed
  socket.once('close', () => {
    messages.close({ discard: true });
    gone.abort();
  });
  await Promise.all([listen(socket, messages), answer(socket, messages, gone.signal)]);
}

/** Reads on only when the queue has room: TCP then makes this client wait, and nobody else. */
async function listen(socket, messages) {
  let begun = '';
  for await (const part of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    const lines = (begun + part).split('\n'); // a message may come in parts, and a part may hold many messages
    begun = lines.pop();
    if (begun.length > MAX_MESSAGE_CHARACTERS) throw new Error('a message without an end');
    for (const line of lines) await messages.put(line);
  }
  messages.close();
}

/** Writes on only when the client has taken what was written. */
async function answer(socket, messages, gone) {
  for await (const message of messages) {
    if (!socket.write(`${message.toUpperCase()}\n`)) await once(socket, 'drain', { signal: gone });
  }
  socket.end();
}
