import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const compilers = { 7: 'typescript/bin/tsc', 5.8: 'typescript-5.8/bin/tsc' };

/** What a newcomer writes first: each of the entry points, and what `using` and hovers need. */
const PROGRAM = `
const hello = defineQueue('hello', z.string(), { capacity: 10 });

export async function main(): Promise<string> {
  await using broker: Broker = await connect('local:');
  const heard: string[] = [];
  await using consumer = createConsumer(broker, hello, (text, { attempt, signal }) => {
    heard.push(text + attempt + signal.aborted);
  });
  await consumer.start();
  const { id } = await createProducer(broker, hello).send('Hello World!', { id: 'm1' });
  while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  using queue = new LocalQueue<number>({ capacity: 5 });
  await queue.put(1);
  const error: unknown = await queue.take({ timeoutMs: 1 }).then(() => queue.take({ timeoutMs: 1 })).catch((e) => e);
  const options: ConnectOptions = { tls: { ca: 'x' } };
  return [heard, id, isQueueError(error, 'TIMEOUT'), Object.keys(options)].join();
}

main().then((text) => console.log(text));
`;

const NAMES =
  '{ type Broker, type ConnectOptions, connect, createConsumer, createProducer, defineQueue, isQueueError }';
const STATIC = `
import ${NAMES} from 'millrace';
import type { Backend, Delivery } from 'millrace/backend';
import { LocalQueue } from 'millrace/local-queue';
import { createHealth, createMetrics, type Metrics } from 'millrace/metrics';
import type { InstrumentOptions, instrument } from 'millrace/otel';
import { createPage, type PageOptions } from 'millrace/page';
import { openTestBroker } from 'millrace/testing';
import { z } from 'zod';

export type Seam = [Backend, Delivery];
export const open = openTestBroker;
export const health = [createHealth, createMetrics, createPage];
export type Operated = PageOptions;
export type Telemetry = [Metrics, InstrumentOptions, typeof instrument];
`;

let folder: string;

/** A project of its own, into which the packed package is unpacked; its dependencies are those of this clone. */
async function project(name: string, packageJson: object, tsconfig: object, main: string): Promise<string> {
  const path = join(folder, name);
  const modules = join(path, 'node_modules');
  await mkdir(join(modules, 'millrace'), { recursive: true });
  await run('tar', ['-xzf', join(folder, tarball), '-C', join(modules, 'millrace'), '--strip-components=1']);
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const dependency of [...Object.keys(dependencies), 'zod']) {
    await mkdir(dirname(join(modules, dependency)), { recursive: true });
    await symlink(join(root, 'node_modules', dependency), join(modules, dependency), 'junction');
  }
  await writeFile(join(path, 'package.json'), JSON.stringify({ name, ...packageJson }));
  await writeFile(join(path, 'tsconfig.json'), JSON.stringify(tsconfig));
  await writeFile(join(path, 'main.ts'), main);
  return path;
}

/** What the compiler complains about. */
async function compile(path: string, version: keyof typeof compilers): Promise<string> {
  const tsc = join(root, 'node_modules', compilers[version]);
  return run(process.execPath, [tsc, '-p', path], { cwd: path }).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string; message: string }) => error.stdout || error.message,
  );
}

const printed = async (path: string, file: string) =>
  (await run(process.execPath, [join(path, file)], { cwd: path })).stdout.trim();

let tarball: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-package-'));
  const args = ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', folder];
  const { stdout } = await run('npm', args, { cwd: root, shell: process.platform === 'win32' });
  tarball = (JSON.parse(stdout) as [{ filename: string }])[0].filename;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a fresh project compiles against the packed package, and runs', () => {
  test('with TypeScript 7, and no types but those that come with it', async () => {
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      strict: true,
      rootDir: '.',
      outDir: 'out',
    };
    const path = await project(
      'esm',
      { type: 'module' },
      { compilerOptions, files: ['main.ts'] },
      STATIC + PROGRAM,
    );
    expect(await compile(path, 7)).toBe('');
    expect(await printed(path, 'out/main.js')).toBe('Hello World!1false,m1,true,tls');
  });

  test('with TypeScript 5.8 as CommonJS', async () => {
    const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, outDir: 'out' };
    const path = await project('cjs', {}, { compilerOptions, files: ['main.ts'] }, STATIC + PROGRAM);
    expect(await compile(path, 5.8)).toBe('');
    expect(await readFile(join(path, 'out/main.js'), 'utf8')).toContain('require("millrace")');
    expect(await printed(path, 'out/main.js')).toBe('Hello World!1false,m1,true,tls');
  });

  test('with TypeScript 5.8 as CommonJS of older Node versions, which import it', async () => {
    const compilerOptions = { module: 'node16', target: 'es2022', strict: true, outDir: 'out' };
    const main = `
      export async function names(): Promise<string[]> {
        const { connect, createProducer } = await import('millrace');
        return [connect.name, createProducer.name];
      }
      names().then((found) => console.log(found.join()));
    `;
    const path = await project('node16', {}, { compilerOptions, files: ['main.ts'] }, main);
    expect(await compile(path, 5.8)).toBe('');
    expect(await printed(path, 'out/main.js')).toBe('connect,createProducer');
  });
});

test('the package contains all it needs, and no scripts that run on installation', async () => {
  const { stdout } = await run('tar', ['-tzf', join(folder, tarball)]);
  const files = stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^package\//, ''));
  expect(
    files.filter(
      (file) =>
        !/^(dist\/.*\.(js|d\.ts)|dist\/page\/client\/(page\.css|icon\.svg|uPlot\.(min\.css|LICENSE))|dist\/man\/millrace\.1|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
          file,
        ),
    ),
  ).toEqual([]);
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const script of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(script);
});

test('prepare does nothing where the sources or their compiler are missing', async () => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const path = join(folder, 'bare');
  await mkdir(join(path, 'scripts'), { recursive: true });
  await writeFile(
    join(path, 'package.json'),
    JSON.stringify({ name: 'bare', scripts: { prepare: scripts.prepare, build: 'exit 7' } }),
  );
  const prepare = () =>
    run('npm', ['run', 'prepare', '--silent', '--offline'], {
      cwd: path,
      shell: process.platform === 'win32',
    });
  await prepare();
  await writeFile(join(path, 'scripts/prepare.mjs'), await readFile(join(root, 'scripts/prepare.mjs')));
  await prepare();
  for (const file of ['src/index.ts', 'node_modules/typescript/bin/tsc']) {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), '');
  }
  await expect(prepare()).rejects.toMatchObject({ code: 7 });
});
