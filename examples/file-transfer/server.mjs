/** Keeps files in one folder, for many clients at once in one process. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { arrive, arrived, checkName, sha256 } from './partial-file.mjs';
import { Peer } from './peer.mjs';
import { pump } from './pump.mjs';

export function createFileServer(folder) {
  /** Names that are being written: two clients must not write the same file at once. */
  const arriving = new Set();

  return createServer({ allowHalfOpen: true }, (socket) => {
    serve(new Peer(socket)).catch(() => socket.destroy()); // a lost client is nobody's failure
  });

  async function serve(peer) {
    for (let request = await peer.receive(); request !== undefined; request = await peer.receive()) {
      try {
        if (request.do === 'put') await put(peer, request);
        else if (request.do === 'get') await get(peer, request);
        else throw Object.assign(new Error('do is put or get'), { code: 'REFUSED' });
      } catch (error) {
        // What the client is not told is that which only concerns this machine.
        const known = ['REFUSED', 'DAMAGED', 'BUSY', 'ENOENT'].includes(error.code);
        await peer.send({ error: known ? error.code : 'FAILED' });
        break; // where the stream stands is not known any more
      }
    }
    peer.end();
  }

  async function put(peer, { name, size, sha256: wanted }) {
    checkName(name);
    if (!Number.isSafeInteger(size) || size < 0 || !/^[0-9a-f]{64}$/.test(wanted)) {
      throw Object.assign(new Error('no size or no checksum'), { code: 'REFUSED' });
    }
    if (arriving.has(name)) throw Object.assign(new Error(`${name} is being written`), { code: 'BUSY' });
    arriving.add(name);
    try {
      const file = { name, size, sha256: wanted };
      const offset = await arrived(folder, file);
      await peer.send({ offset });
      await arrive(folder, file, offset, peer.bytes(size - offset));
      await peer.send({ stored: name });
    } finally {
      arriving.delete(name);
    }
  }

  async function get(peer, { name }) {
    const path = join(folder, checkName(name));
    // Not through a link, which may lead out of the folder.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size } = await handle.stat();
      await peer.send({ name, size, sha256: await sha256(path) });
      const { offset } = await peer.receive();
      if (offset < size)
        await pump(handle.createReadStream({ start: offset, end: size - 1, autoClose: false }), (chunk) =>
          peer.write(chunk),
        );
    } finally {
      await handle.close();
    }
  }
}
