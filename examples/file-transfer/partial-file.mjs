/** Files that arrive: first as `.NAME.PARTIAL`, and under their own name once all is there and the checksum is right. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pump } from './pump.mjs';

/** A plain name within the folder. Everything else is refused: paths, drives, hidden files, what is not a name at all. */
export function checkName(name) {
  if (typeof name === 'string' && /^[^./\\:\0][^/\\:\0]{0,199}$/.test(name)) return name;
  throw Object.assign(new Error(`${JSON.stringify(name)} is not the name of a file in this folder`), {
    code: 'REFUSED',
  });
}

export async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** The checksum is part of the name: the beginning of another version is never gone on with. */
const partialOf = (folder, { name, sha256 }) => join(folder, `.${name}.${sha256.slice(0, 16)}.partial`);

/** How many bytes of it have arrived before. */
export async function arrived(folder, file) {
  const { size } = await stat(partialOf(folder, file)).catch(() => ({ size: 0 }));
  return Math.min(size, file.size);
}

/** Adds the rest of the file to what is there, and gives it its name. Rejects, and keeps what came, after a break. */
export async function arrive(folder, file, offset, rest, onChunk = () => {}) {
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
    throw Object.assign(new Error(`${file.name} arrived damaged: its SHA-256 differs`), { code: 'DAMAGED' });
  }
  await rename(path, join(folder, file.name));
}
