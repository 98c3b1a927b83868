/** One side of a connection that alternates between headers (a line of JSON each) and runs of bytes. */
import { once } from 'node:events';
import type { Socket } from 'node:net';

const MAX_HEADER_BYTES = 16 * 1024;
const SILENCE_MS = 30_000;
const NEWLINE = 0x0a;

/** A header from the other side: nothing in it can be trusted. */
export type Header = Readonly<Record<string, unknown>>;

export class Peer {
  readonly #socket: Socket;
  readonly #parts: AsyncIterator<Buffer>;
  /** Bytes that were read but not asked for yet: at most one part of the stream. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#parts = socket.iterator({ destroyOnReturn: false });
    socket.on('error', () => {}); // readers and writers get the error
    socket.setTimeout(SILENCE_MS, () =>
      socket.destroy(new Error('the other side has been silent for too long')),
    );
  }

  /** The next header; undefined if the other side has ended the connection instead. */
  async receive(): Promise<Header | undefined> {
    let line: Buffer = Buffer.alloc(0);
    for (;;) {
      const part = await this.#part();
      if (part === undefined) return undefined;
      const end = part.indexOf(NEWLINE);
      line = Buffer.concat([line, end < 0 ? part : part.subarray(0, end)]);
      if (line.length > MAX_HEADER_BYTES) throw new Error('a header without an end');
      if (end < 0) continue;
      this.#rest = part.subarray(end + 1);
      const header: unknown = JSON.parse(line.toString());
      if (typeof header !== 'object' || header === null) throw new Error('a header that is no object');
      return header as Header;
    }
  }

  /** The next `count` bytes, in parts as they arrive. */
  async *bytes(count: number): AsyncGenerator<Buffer, void, undefined> {
    for (let missing = count; missing > 0; ) {
      const part = await this.#part();
      if (part === undefined) throw new Error(`the connection ended ${missing} bytes too early`);
      this.#rest = part.subarray(missing);
      const wanted = part.subarray(0, missing);
      missing -= wanted.length;
      yield wanted;
    }
  }

  send(header: Header): Promise<void> {
    return this.write(`${JSON.stringify(header)}\n`);
  }

  /** Resolves when there is room for more; a caller that waits for it has at most one part in memory. */
  async write(bytes: Buffer | string): Promise<void> {
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

  end(): void {
    this.#socket.end();
  }

  async #part(): Promise<Buffer | undefined> {
    if (this.#rest.length > 0) {
      const rest = this.#rest;
      this.#rest = Buffer.alloc(0);
      return rest;
    }
    const { value, done } = await this.#parts.next();
    return done ? undefined : value;
  }
}
