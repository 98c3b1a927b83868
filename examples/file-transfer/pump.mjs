import { LocalQueue } from 'millrace';

/**
 * Moves chunks from where they are read to where they are written, through a queue with room for few: both go on at
 * once, and the faster one waits for the other.
 *
 * @param {AsyncIterable<Buffer>} source
 * @param {(chunk: Buffer) => Promise<unknown>} write
 */
export async function pump(source, write) {
  /** @type {LocalQueue<Buffer>} */
  const chunks = new LocalQueue({ capacity: 16 });

  async function read() {
    try {
      for await (const chunk of source) await chunks.put(chunk);
    } finally {
      chunks.close(); // also after a break: what was read is still written, and need not come again
    }
  }

  async function writeAll() {
    try {
      for await (const chunk of chunks) await write(chunk);
    } finally {
      chunks.close({ discard: true }); // nobody writes any more: who reads must not wait for room
    }
  }

  const [reading, writing] = await Promise.allSettled([read(), writeAll()]);
  if (writing.status === 'rejected') throw writing.reason;
  if (reading.status === 'rejected') throw reading.reason;
}
