import { execFile, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { get, put, type Transferred } from '../../../examples/file-transfer/client.ts';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { eventually } from '../../support/eventually.js';
import { buildExamples } from '../support/build-examples.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { Example, linesOf } from '../support/run-example.js';

const HOST = fileURLToPath(new URL('./file-server-host.mjs', import.meta.url));
const MIB = 1024 * 1024;
beforeAll(buildExamples);

/** A server in a process of its own, so that its memory is nobody else's, and three folders. */
async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), 'file-transfer-'));
  const [source, kept, fetched] = [join(folder, 'source'), join(folder, 'kept'), join(folder, 'fetched')];
  for (const each of [source, kept, fetched]) await mkdir(each);
  const child = fork(HOST, [kept], { execArgv: ['--expose-gc'] });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });
  const [{ port }] = await once(child, 'message');
  const state = async (): Promise<{ clients: number; peakBytes: number }> => {
    const answer = once(child, 'message');
    child.send('state');
    return (await answer)[0];
  };
  return { port: port as number, source, kept, fetched, state };
}

/** After a break the server may still be closing the file when the client is back. */
const whenFree = (transfer: () => Promise<Transferred>) =>
  eventually(() =>
    transfer().catch((error) => {
      if (error.code === 'BUSY') return false as const;
      throw error;
    }),
  );

test('file-transfer: 50 clients at once, 100 MiB each way, with memory flat', async () => {
  const { port, source, kept, fetched, state } = await setUp();
  const names = Array.from({ length: 50 }, (_, index) => `file-${index}.bin`);
  for (const name of names) await writeFile(join(source, name), randomBytes(2 * MIB));
  const warmUp = join(source, 'first.bin');
  await writeFile(warmUp, randomBytes(2 * MIB));
  await put({ port }, warmUp);
  const before = await state();

  const sent = await Promise.all(names.map((name) => put({ port }, join(source, name))));
  const received = await Promise.all(names.map((name) => get({ port }, name, fetched)));

  expect(received.map(({ sha256 }) => sha256)).toEqual(sent.map(({ sha256 }) => sha256));
  expect((await readdir(fetched)).sort()).toEqual([...names].sort());
  expect(
    (await readFile(join(fetched, 'file-7.bin'))).equals(await readFile(join(source, 'file-7.bin'))),
  ).toBe(true);
  expect((await readdir(kept)).filter((name) => name.endsWith('.partial'))).toEqual([]);
  await eventually(async () => (await state()).clients === 0);
  expect((await state()).peakBytes - before.peakBytes).toBeLessThan(100 * MIB);
});

test('file-transfer: one file of 100 MiB does not pass through memory as a whole', async () => {
  const { port, source, fetched, state } = await setUp();
  const path = join(source, 'large.bin');
  await writeFile(path, randomBytes(100 * MIB));
  const before = await state();

  await put({ port }, path);
  const { size } = await get({ port }, 'large.bin', fetched);

  expect(size).toBe(100 * MIB);
  expect((await state()).peakBytes - before.peakBytes).toBeLessThan(60 * MIB);
});

test('file-transfer: a put and a get that are cut in the middle go on where they were', async () => {
  const { port, source, kept, fetched } = await setUp();
  const path = join(source, 'grain.bin');
  await writeFile(path, randomBytes(20 * MIB));
  const proxy = await TcpProxy.start({ host: '127.0.0.1', port });
  onTestFinished(() => proxy.close());

  const putCut = proxy.resetAfterBytes(8 * MIB, 'to-broker');
  await expect(put({ port: proxy.port }, path)).rejects.toThrow();
  await putCut;
  expect(await readdir(kept), 'nothing under its name before it is whole').not.toContain('grain.bin');
  const sent = await whenFree(() => put({ port: proxy.port }, path));
  expect(sent.resumedAt).toBeGreaterThan(0);
  expect((await readFile(join(kept, 'grain.bin'))).equals(await readFile(path))).toBe(true);

  const getCut = proxy.resetAfterBytes(8 * MIB, 'to-client');
  await expect(get({ port: proxy.port }, 'grain.bin', fetched)).rejects.toThrow();
  await getCut;
  expect(await readdir(fetched)).not.toContain('grain.bin');
  const received = await get({ port: proxy.port }, 'grain.bin', fetched);
  expect(received.resumedAt).toBeGreaterThan(0);
  expect((await readFile(join(fetched, 'grain.bin'))).equals(await readFile(path))).toBe(true);
});

test('file-transfer: a wrong or incomplete file is detected', async () => {
  const { port, source, kept } = await setUp();
  const path = join(source, 'grain.bin');
  await writeFile(path, randomBytes(MIB));
  // The beginning is there, and it is damaged.
  const { sha256 } = await put({ port }, path);
  await rm(join(kept, 'grain.bin'));
  await writeFile(join(kept, `.grain.bin.${sha256.slice(0, 16)}.partial`), randomBytes(1000));

  await expect(put({ port }, path)).rejects.toMatchObject({ code: 'DAMAGED' });
  expect(await readdir(kept)).toEqual([]);
  expect((await put({ port }, path)).resumedAt).toBe(0);
});

test('file-transfer: names that are no plain names are refused, to be read and to be written', async () => {
  const { port, kept } = await setUp();
  const names = [
    '../../etc/passwd',
    '/etc/passwd',
    '..',
    '.',
    '.hidden',
    'a/b',
    'a\\b',
    'C:x',
    'a\0b',
    '',
    7,
    null,
  ];
  const checksum = '0'.repeat(64);
  for (const name of names) {
    for (const request of [
      { do: 'get', name },
      { do: 'put', name, size: 1, sha256: checksum },
    ]) {
      const socket = connect(port, '127.0.0.1').setEncoding('utf8');
      socket.write(`${JSON.stringify(request)}\n`);
      expect(JSON.parse((await once(socket, 'data'))[0]), JSON.stringify(request)).toEqual({
        error: 'REFUSED',
      });
      socket.destroy();
    }
  }
  expect(await readdir(kept)).toEqual([]);
});

test('file-transfer: a link that leads out of the folder is not followed', async () => {
  const { port, source, kept, fetched } = await setUp();
  await writeFile(join(source, 'secret'), 'secret');
  await symlink(join(source, 'secret'), join(kept, 'link'));
  await expect(get({ port }, 'link', fetched)).rejects.toMatchObject({ code: 'FAILED' });
  await expect(get({ port }, 'nothing', fetched)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('file-transfer: no header, however strange, ends the server', async () => {
  const { port, source, kept } = await setUp();
  await writeFile(join(kept, 'there.bin'), 'there');
  const strange = [
    'null',
    '7',
    '"x"',
    '[]',
    '{',
    '{"do":"get","name":"there.bin"}\n{"offset":-1}',
    '{"do":{"a":1}}',
  ];
  for (const text of strange) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.resume().end(`${text}\n`);
    await once(socket, 'close');
  }
  await writeFile(join(source, 'after.bin'), 'after');
  expect((await put({ port }, join(source, 'after.bin'))).size).toBe(5);
});

test('file-transfer shows how far each file is, and refuses what leaves the folder', async () => {
  const lines = await linesOf('file-transfer');
  const varies = [/[\d.]+ MiB\/s/];
  await expectAsInReadme('file-transfer', lines, { varies, anyOrder: true });
});

test('file-transfer serve makes its folder and logs each transfer; what fails is one line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'file-transfer-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'a.bin'), 'grain');
  const server = new Example('file-transfer', 'serve', join(folder, 'new/kept'), '-p', '0');
  const [, port = ''] = await server.printed(/listening on 127\.0\.0\.1:(\d+)/);
  expect(await linesOf('file-transfer', 'put', join(folder, 'a.bin'), '-p', port)).toEqual([
    expect.stringMatching(/^put a\.bin 100 % /),
  ]);
  await server.printed(/^127\.0\.0\.1:\d+ put a\.bin: 5 bytes came$/m);

  const missing = new Example('file-transfer', 'get', 'b.bin', '-p', port, '--host', 'localhost');
  expect(await missing.exit()).toBe(1);
  expect(missing.stderr).toBe('get b.bin: the server says ENOENT\n');
  await server.printed(/^127\.0\.0\.1:\d+ get b\.bin: ENOENT$/m);

  const taken = new Example('file-transfer', 'serve', folder, '-p', port);
  expect(await taken.exit()).toBe(1);
  expect(taken.stderr).toMatch(/^serve: .*EADDRINUSE.*\n$/);
  const noFolder = new Example('file-transfer', 'serve', join(folder, 'a.bin/b'));
  expect(await noFolder.exit()).toBe(1);
  expect(noFolder.stderr).toMatch(/^serve: ENOTDIR.*\n$/);
  const nothing = new Example('file-transfer', 'get');
  expect(await nothing.exit()).toBe(2);
  expect(nothing.stderr).toMatch(/^file-transfer \[serve FOLDER.*\n$/);
});

const SCRIPT = '/usr/bin/script';
const noTerminal = existsSync(SCRIPT) ? '' : `there is no ${SCRIPT}`;

test.skipIf(noTerminal)(
  `file-transfer: on a terminal each file has a bar of its own ${noTerminal}`,
  async () => {
    const runner = fileURLToPath(new URL('../../../scripts/run-example.mjs', import.meta.url));
    const command = `${process.execPath} ${runner} file-transfer`;
    const { stdout } = await promisify(execFile)(SCRIPT, ['-qec', command, '/dev/null']);
    const lines = stdout.split(/[\r\n]+/);
    for (const file of ['rye', 'wheat', 'barley']) {
      expect(lines).toContainEqual(
        expect.stringMatching(new RegExp(`put ${file}\\.bin +=+ 100 % [\\d.]+ MiB/s`)),
      );
    }
    expect(stdout, 'the cursor goes back up over three lines').toContain('\u001b[2A');
  },
);

test('file-transfer: a part of the example is no program, and the runner says so', async () => {
  const runner = fileURLToPath(new URL('../../../scripts/run-example.mjs', import.meta.url));
  const run = promisify(execFile)(process.execPath, [runner, 'file-transfer/client', 'get']);
  await expect(run).rejects.toMatchObject({
    code: 2,
    stderr:
      "'file-transfer/client' is a part of the example 'file-transfer', not a program: run 'file-transfer'.\n",
  });
});
