/** Stores files in one folder, and serves many clients at once in one process. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { codeOf, Failure, textOf } from './failure.ts';
import { Arrival, arrive, arrived, checkName, sha256 } from './partial-file.ts';
import { type Header, Peer } from './peer.ts';
import { pump } from './pump.ts';

/** `log` receives a line for each transfer, failed or not. */
export function createFileServer(folder: string, log: (line: string) => void = () => {}): Server {
  /** Files that are being written: two clients must not write the same file at once. */
  const arriving = new Set<string>();

  return createServer({ allowHalfOpen: true }, (socket) => {
    const client = `${socket.remoteAddress}:${socket.remotePort}`;
    serve(new Peer(socket), client).catch(() => socket.destroy()); // a lost client is not an error
  });

  async function serve(peer: Peer, client: string): Promise<void> {
    for (let request = await peer.receive(); request !== undefined; request = await peer.receive()) {
      const what = `${client} ${show(request.do)} ${show(request.name)}`;
      try {
        if (request.do === 'put') log(`${what}: ${await put(peer, request)} bytes came`);
        else if (request.do === 'get') log(`${what}: ${await get(peer, request)} bytes went`);
        else throw new Failure('REFUSED', 'do is put or get');
      } catch (error) {
        log(`${what}: ${codeOf(error) ?? textOf(error)}`);
        // The client does not learn about errors that only concern this machine.
        const code = codeOf(error) ?? '';
        await peer.send({ error: ['REFUSED', 'DAMAGED', 'BUSY', 'ENOENT'].includes(code) ? code : 'FAILED' });
        break; // the position in the stream is unknown now
      }
    }
    peer.end();
  }

  async function put(peer: Peer, request: Header): Promise<number> {
    const { data: file } = Arrival.safeParse(request);
    const name = checkName(request.name);
    if (file === undefined) throw new Failure('REFUSED', 'no size or no checksum');
    if (arriving.has(name)) throw new Failure('BUSY', `${name} is being written`);
    arriving.add(name);
    try {
      const offset = await arrived(folder, file);
      await peer.send({ offset });
      await arrive(folder, file, offset, peer.bytes(file.size - offset));
      await peer.send({ stored: name });
      return file.size - offset;
    } finally {
      arriving.delete(name);
    }
  }

  async function get(peer: Peer, { name: wanted }: Header): Promise<number> {
    const name = checkName(wanted);
    const path = join(folder, name);
    // Refuse symbolic links, which may lead out of the folder.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { size } = await handle.stat();
      await peer.send({ name, size, sha256: await sha256(path) });
      const offset = (await peer.receive())?.offset;
      if (typeof offset !== 'number' || !Number.isSafeInteger(offset) || offset < 0) {
        throw new Failure('REFUSED', 'no offset to go on at');
      }
      if (offset < size) {
        const rest = handle.createReadStream({ start: offset, end: size - 1, autoClose: false });
        await pump(rest, (chunk) => peer.write(chunk));
      }
      return Math.max(size - offset, 0);
    } finally {
      await handle.close();
    }
  }
}

/** Escapes control characters from clients, which could manipulate the operator's terminal. */
function show(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return JSON.stringify(text).slice(1, -1).slice(0, 100);
}
