/** `serve FOLDER`, `put FILE…`, `get NAME…`; without any of these a demonstration in a folder of its own. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { get, put } from './client.mjs';
import { progressBar } from './progress-bar.mjs';
import { createFileServer } from './server.mjs';

const { values, positionals } = parseArgs({
  options: { port: { type: 'string', short: 'p', default: '7778' } },
  allowPositionals: true,
});
const [command = 'demo', ...names] = positionals;
const port = Number(values.port);

const commands = {
  async serve() {
    const server = await listen(names[0] ?? '.', port);
    console.log(`listening on 127.0.0.1:${server.address().port}. To exit press CTRL+C`);
  },
  async put() {
    await Promise.all(names.map((path) => put(port, path, progressBar(`put ${path}`))));
  },
  async get() {
    await Promise.all(names.map((name) => get(port, name, '.', progressBar(`get ${name}`))));
  },
  async demo() {
    const folder = await mkdtemp(join(tmpdir(), 'file-transfer-'));
    const [here, there] = [join(folder, 'here'), join(folder, 'there')];
    await Promise.all([mkdir(here), mkdir(there)]);
    await writeFile(join(folder, 'grain.bin'), randomBytes(20 * 1024 * 1024));
    const server = await listen(there, 0);
    try {
      const sent = await put(server.address().port, join(folder, 'grain.bin'), progressBar('put grain.bin'));
      const fetched = await get(server.address().port, 'grain.bin', here, progressBar('get grain.bin'));
      console.log(`SHA-256 ${sent.sha256 === fetched.sha256 ? 'is the same' : 'differs'}`);
      await get(server.address().port, '../../etc/passwd', here).catch((error) =>
        console.log(`get ../../etc/passwd: ${error.code}`),
      );
    } finally {
      server.close();
      await rm(folder, { recursive: true });
    }
  },
};

async function listen(folder, port) {
  const server = createFileServer(folder).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

if (!Object.hasOwn(commands, command)) {
  console.error('file-transfer [serve FOLDER | put FILE… | get NAME…] [-p PORT]');
  process.exit(2);
}
await commands[command]();
