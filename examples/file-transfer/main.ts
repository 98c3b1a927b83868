/** `serve FOLDER`, `put FILE…` or `get NAME…`; without any of these, a demonstration in a temporary folder. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { get, put, type Server, type Transferred } from './client.ts';
import { codeOf, textOf } from './failure.ts';
import { type OnProgress, Progress } from './progress.ts';
import { createFileServer } from './server.ts';

/** Thrown after all failures have been printed. */
const TOLD = new Error('told');
const USAGE = 'file-transfer [serve FOLDER | put FILE… | get NAME…] [-p PORT] [--host HOST]';

const { values, positionals } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', short: 'p', default: '7778' },
  },
  allowPositionals: true,
});
const [command = 'demo', ...names] = positionals;
const there: Server = { host: values.host, port: Number(values.port) };

const isUsed =
  (command === 'demo' && names.length === 0) ||
  (command === 'serve' && names.length === 1) ||
  ((command === 'put' || command === 'get') && names.length > 0);
if (!isUsed) {
  console.error(USAGE);
  process.exit(2);
}
try {
  if (command === 'serve') await serve(names[0] as string);
  else if (command === 'put') await putAll(there, names);
  else if (command === 'get') await getAll(there, names, '.');
  else await demonstrate();
} catch (error) {
  if (error !== TOLD) console.error(`${command}: ${textOf(error)}`);
  process.exitCode = 1;
}

async function serve(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const server = createFileServer(folder, console.log).listen(there.port, there.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  console.log(`listening on ${there.host}:${port}, with the files in ${folder}. To exit press CTRL+C`);
}

function putAll(server: Server, paths: readonly string[]): Promise<Transferred[]> {
  return allAtOnce('put', paths, (path, onProgress) => put(server, path, onProgress));
}

function getAll(server: Server, files: readonly string[], folder: string): Promise<Transferred[]> {
  return allAtOnce('get', files, (name, onProgress) => get(server, name, folder, onProgress));
}

/** A failed transfer does not end the others; each failure is printed on one line. */
async function allAtOnce(
  verb: string,
  files: readonly string[],
  transfer: (file: string, onProgress: OnProgress) => Promise<Transferred>,
): Promise<Transferred[]> {
  const labels = files.map((file) => `${verb} ${basename(file)}`);
  const progress = new Progress(labels);
  const ends = await Promise.allSettled(
    files.map((file, index) => transfer(file, progress.of(labels[index] as string))),
  );
  progress.stop();
  const failures = ends.flatMap((end, index) =>
    end.status === 'rejected' ? [[labels[index], end.reason]] : [],
  );
  for (const [label, error] of failures) console.error(`${label}: ${textOf(error)}`);
  if (failures.length > 0) throw TOLD;
  return ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
}

async function demonstrate(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'file-transfer-'));
  const [here, far] = [join(folder, 'here'), join(folder, 'far')];
  await Promise.all([mkdir(here), mkdir(far)]);
  const files = { 'rye.bin': 8, 'wheat.bin': 16, 'barley.bin': 24 };
  for (const [name, mebibytes] of Object.entries(files)) {
    await writeFile(join(folder, name), randomBytes(mebibytes * 1024 * 1024));
  }
  const server = createFileServer(far).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const local = { port: (server.address() as AddressInfo).port };
  try {
    const names = Object.keys(files);
    const sent = await putAll(
      local,
      names.map((name) => join(folder, name)),
    );
    const fetched = await getAll(local, names, here);
    const isSame = sent.every(({ sha256 }, index) => sha256 === fetched[index]?.sha256);
    console.log(`SHA-256 ${isSame ? 'is the same for each' : 'differs'}`);
    await get(local, '../../etc/passwd', here).catch((error) =>
      console.log(`get ../../etc/passwd: ${codeOf(error)}`),
    );
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
}
