/** Stores files that arrive: as a `.partial` file first, renamed when it is complete and its checksum is right. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { Failure } from './failure.ts';
import { pump } from './pump.ts';

/** A file as announced by its sender. */
export const Arrival = z.object({
  name: z.string(),
  size: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Arrival = z.infer<typeof Arrival>;

/** Accepts a plain name within the folder. Refuses anything else: paths, drives, hidden files, other types. */
export function checkName(name: unknown): string {
  if (typeof name === 'string' && /^[^./\\:\0][^/\\:\0]{0,199}$/.test(name)) return name;
  throw new Failure('REFUSED', `${JSON.stringify(name)} is not the name of a file in this folder`);
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** The checksum is part of the name, so that a transfer never resumes with part of another version. */
const partialOf = (folder: string, { name, sha256 }: Arrival) =>
  join(folder, `.${name}.${sha256.slice(0, 16)}.partial`);

/** How many bytes of the file have arrived before. */
export async function arrived(folder: string, file: Arrival): Promise<number> {
  const { size } = await stat(partialOf(folder, file)).catch(() => ({ size: 0 }));
  return Math.min(size, file.size);
}

/** Appends the rest of the file, and renames it. If interrupted, rejects and keeps what has arrived. */
export async function arrive(
  folder: string,
  file: Arrival,
  offset: number,
  rest: AsyncIterable<Buffer>,
  onChunk: (position: number) => void = () => {},
): Promise<void> {
  const path = partialOf(folder, file);
  const handle = await open(path, offset === 0 ? 'w' : 'r+');
  try {
    let position = offset;
    await pump(rest, async (chunk) => {
      await handle.write(chunk, 0, chunk.length, position);
      position += chunk.length;
      onChunk(position);
    });
    await handle.sync();
  } finally {
    await handle.close();
  }
  if ((await sha256(path)) !== file.sha256) {
    await rm(path);
    throw new Failure('DAMAGED', `${file.name} arrived damaged: its SHA-256 differs`);
  }
  await rename(path, join(folder, file.name));
}
