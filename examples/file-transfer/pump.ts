import { LocalQueue } from 'millrace';

/**
 * Moves chunks from a reader to a writer through a small queue: both work at the same time, and the faster one waits
 * for the other.
 */
export async function pump(
  source: AsyncIterable<Buffer>,
  write: (chunk: Buffer) => Promise<unknown>,
): Promise<void> {
  const chunks = new LocalQueue<Buffer>({ capacity: 16 });

  async function read(): Promise<void> {
    try {
      for await (const chunk of source) await chunks.put(chunk);
    } finally {
      chunks.close(); // also if interrupted: what was read is still written, and need not be sent again
    }
  }

  async function writeAll(): Promise<void> {
    try {
      for await (const chunk of chunks) await write(chunk);
    } finally {
      chunks.close({ discard: true }); // writing has ended, so the reader must not wait for room
    }
  }

  const [reading, writing] = await Promise.allSettled([read(), writeAll()]);
  if (writing.status === 'rejected') throw writing.reason;
  if (reading.status === 'rejected') throw reading.reason;
}
