import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename } from 'node:path';
import { Failure } from './failure.ts';
import { Arrival, arrive, arrived, checkName, sha256 } from './partial-file.ts';
import { type Header, Peer } from './peer.ts';
import type { OnProgress } from './progress.ts';
import { pump } from './pump.ts';

export interface Server {
  readonly host?: string;
  readonly port: number;
}

export interface Transferred extends Arrival {
  /** Where the transfer was resumed; 0 if it started from the beginning. */
  readonly resumedAt: number;
}

/** Sends a file, or the rest of it after an interruption. */
export async function put(
  server: Server,
  path: string,
  onProgress: OnProgress = () => {},
): Promise<Transferred> {
  const { size } = await stat(path);
  const file = { name: checkName(basename(path)), size, sha256: await sha256(path) };
  return withServer(server, async (peer) => {
    await peer.send({ do: 'put', ...file });
    let offset = numberIn(answered(await peer.receive()), 'offset', size);
    const resumedAt = offset;
    onProgress(offset, size);
    if (offset < size) {
      await pump(createReadStream(path, { start: offset }), async (chunk) => {
        await peer.write(chunk);
        offset += chunk.length;
        onProgress(offset, size);
      });
    }
    answered(await peer.receive());
    return { ...file, resumedAt };
  });
}

/** Fetches a file into the folder, or the rest of it after an interruption. */
export async function get(
  server: Server,
  name: string,
  folder: string,
  onProgress: OnProgress = () => {},
): Promise<Transferred> {
  return withServer(server, async (peer) => {
    await peer.send({ do: 'get', name });
    const file = Arrival.parse({ ...answered(await peer.receive()), name: checkName(name) });
    const resumedAt = await arrived(folder, file);
    await peer.send({ offset: resumedAt });
    onProgress(resumedAt, file.size);
    const rest = peer.bytes(file.size - resumedAt);
    await arrive(folder, file, resumedAt, rest, (at) => onProgress(at, file.size));
    return { ...file, resumedAt };
  });
}

async function withServer<T>(
  { host = '127.0.0.1', port }: Server,
  transfer: (peer: Peer) => Promise<T>,
): Promise<T> {
  const socket = connect(port, host);
  await once(socket, 'connect');
  try {
    return await transfer(new Peer(socket));
  } finally {
    socket.destroy();
  }
}

function answered(answer: Header | undefined): Header {
  if (answer === undefined) throw new Error('the server ended the connection; run it again to go on');
  if (typeof answer.error === 'string') throw new Failure(answer.error, `the server says ${answer.error}`);
  return answer;
}

function numberIn(header: Header, name: string, max: number): number {
  const value = header[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max) return value;
  throw new Error(`the server sent ${name} ${JSON.stringify(value)}`);
}
