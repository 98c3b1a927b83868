/** One side of a connection on which headers (a line of JSON each) and runs of bytes take turns. */
import { once } from 'node:events';

const MAX_HEADER_BYTES = 16 * 1024;
const SILENCE_MS = 30_000;
const NEWLINE = 0x0a;

export class Peer {
  #socket;
  #parts;
  /** Read and not asked for yet: at most one part of the stream. */
  #rest = Buffer.alloc(0);

  constructor(socket) {
    this.#socket = socket;
    this.#parts = socket.iterator({ destroyOnReturn: false });
    socket.on('error', () => {}); // whoever reads or writes is told
    socket.setTimeout(SILENCE_MS, () =>
      socket.destroy(new Error('the other side has been silent for too long')),
    );
  }

  /** The next header; undefined where the other side has ended the connection instead. */
  async receive() {
    let line = Buffer.alloc(0);
    for (;;) {
      const part = await this.#part();
      if (part === undefined) return undefined;
      const end = part.indexOf(NEWLINE);
      line = Buffer.concat([line, end < 0 ? part : part.subarray(0, end)]);
      if (line.length > MAX_HEADER_BYTES) throw new Error('a header without an end');
      if (end < 0) continue;
      this.#rest = part.subarray(end + 1);
      return JSON.parse(line.toString());
    }
  }

  /** The next `count` bytes, in parts as they come. */
  async *bytes(count) {
    for (let missing = count; missing > 0; ) {
      const part = await this.#part();
      if (part === undefined) throw new Error(`the connection ended ${missing} bytes too early`);
      this.#rest = part.subarray(missing);
      const wanted = part.subarray(0, missing);
      missing -= wanted.length;
      yield wanted;
    }
  }

  send(header) {
    return this.write(`${JSON.stringify(header)}\n`);
  }

  /** Resolves when there is room for more: who waits for it never has more than one part in memory. */
  async write(bytes) {
    if (this.#socket.destroyed) throw new Error('the connection is closed');
    if (this.#socket.write(bytes)) return;
    const over = new AbortController();
    const { signal } = over;
    const closed = once(this.#socket, 'close', { signal }).then(() => {
      throw new Error('the connection was closed while it was written to');
    });
    try {
      await Promise.race([once(this.#socket, 'drain', { signal }), closed]);
    } finally {
      over.abort();
    }
  }

  end() {
    this.#socket.end();
  }

  async #part() {
    if (this.#rest.length > 0) {
      const rest = this.#rest;
      this.#rest = Buffer.alloc(0);
      return rest;
    }
    const { value, done } = await this.#parts.next();
    return done ? undefined : value;
  }
}
