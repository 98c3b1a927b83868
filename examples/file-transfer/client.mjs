import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename } from 'node:path';
import { arrive, arrived, checkName, sha256 } from './partial-file.mjs';
import { Peer } from './peer.mjs';
import { pump } from './pump.mjs';

/** Sends a file; after a break, the rest of it. `onProgress(bytes, size)` is told how far it is. */
export async function put(port, path, onProgress = () => {}) {
  const { size } = await stat(path);
  const file = { name: checkName(basename(path)), size, sha256: await sha256(path) };
  return withServer(port, async (peer) => {
    await peer.send({ do: 'put', ...file });
    let { offset } = answered(await peer.receive());
    const resumedAt = offset;
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

/** Fetches a file into the folder; after a break, the rest of it. */
export async function get(port, name, folder, onProgress = () => {}) {
  return withServer(port, async (peer) => {
    await peer.send({ do: 'get', name });
    const file = { ...answered(await peer.receive()), name: checkName(name) };
    const resumedAt = await arrived(folder, file);
    await peer.send({ offset: resumedAt });
    await arrive(folder, file, resumedAt, peer.bytes(file.size - resumedAt), (at) =>
      onProgress(at, file.size),
    );
    return { ...file, resumedAt };
  });
}

async function withServer(port, transfer) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  try {
    return await transfer(new Peer(socket));
  } finally {
    socket.destroy();
  }
}

function answered(answer) {
  if (answer === undefined) throw new Error('the server ended the connection; run it again to go on');
  if (answer.error !== undefined)
    throw Object.assign(new Error(`the server says ${answer.error}`), { code: answer.error });
  return answer;
}
