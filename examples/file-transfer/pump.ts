import { LocalQueue } from 'millrace';

/**
 * Moves chunks from where they are read to where they are written, through a queue with room for few: both go on at
 * once, and the faster one waits for the other.
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
      chunks.close(); // also after a break: what was read is still written, and need not come again
    }
  }

  async function writeAll(): Promise<void> {
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
