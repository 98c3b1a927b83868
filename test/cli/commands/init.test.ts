import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { millrace } from '../support/spawn-millrace.js';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const queue = uniqueName('init-orders');
const folder = mkdtempSync(join(tmpdir(), 'millrace-init-'));
const service = join(folder, 'My Shop');
const running = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, maxRetries: 3 });
  await removeQueues(queue);
});

/** A process of the service, and what it has printed. */
class Part {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  text = '';
  #onText: () => void = () => {};

  constructor(file: string, env: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [join(service, 'dist/src', file)], {
      cwd: service,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.child);
    this.exited = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text;
        this.#onText();
      });
    }
  }

  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.text);
      if (found !== null) return found;
      const more = new Promise<void>((resolve) => {
        this.#onText = resolve;
      });
      const isOver = await Promise.race([more.then(() => false), this.exited.then(() => true)]);
      if (isOver && !pattern.test(this.text)) throw new Error(`ended without ${pattern}: ${this.text}`);
    }
  }
}

let written: string;
beforeAll(async () => {
  const { exitCode, stdout, stderr } = await millrace(['init', service]);
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining('npm install && npm test')]);
  written = stdout;
  // Other tests use the same broker.
  const queues = join(service, 'src/queues.ts');
  writeFileSync(
    queues,
    readFileSync(queues, 'utf8').replace("'orders', orderSchema", `'${queue}', orderSchema`),
  );

  // As npm would install it: the packed package, and the dependencies of this clone.
  const { stdout: packed } = await execute(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', folder],
    {
      cwd: root,
    },
  );
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  const modules = join(service, 'node_modules');
  mkdirSync(join(modules, 'millrace'), { recursive: true });
  await execute('tar', [
    '-xzf',
    join(folder, filename),
    '-C',
    join(modules, 'millrace'),
    '--strip-components=1',
  ]);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  await execute(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: service }).catch(
    ({ stdout: complaints }) => expect(complaints).toBe(''),
  );
});

test('it writes a service, and names what it wrote', () => {
  const names = written.trimEnd().split('\n');
  expect(names.every((line) => line.startsWith(' [x] '))).toBe(true);
  for (const line of names) expect(existsSync(join(service, line.slice(5)))).toBe(true);
  expect(JSON.parse(readFileSync(join(service, 'package.json'), 'utf8'))).toMatchObject({
    name: 'my-shop',
    dependencies: { millrace: `^${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}` },
  });
});

test('the test of the service passes', async () => {
  const file = join(service, 'dist/test/orders.test.js');
  const { stdout } = await execute(process.execPath, ['--test', file], { cwd: service });
  expect(stdout).toMatch(/pass 2\b/);
});

describe.each([
  ['a folder', () => ({})],
  ['RabbitMQ', () => ({ MILLRACE_URL: amqpUrl() })],
])('on %s', (_where, address) => {
  test('the API stores orders, and the worker handles them', async () => {
    const env = { MILLRACE_URL: '', ...address(), PORT: '0' };
    const { MILLRACE_URL, ...rest } = env;
    const variables = MILLRACE_URL === '' ? rest : env;
    const [api, worker] = [new Part('api.js', variables), new Part('worker.js', variables)];
    const [, port] = await api.said(/listening on port (\d+)/);
    const at = `http://127.0.0.1:${port}`;
    const post = (body: string) => fetch(`${at}/orders`, { method: 'POST', body });
    expect((await fetch(`${at}/readyz`)).status).toBe(200);
    expect((await post('{"id":"A-1","total":12.5}')).status).toBe(202);
    expect((await post('{"id":"A-1"}')).status).toBe(400);
    expect((await post('{')).status).toBe(400);
    expect((await post('x'.repeat(70_000))).status).toBe(400);
    await worker.said(/order A-1: 12\.5 \(attempt 1\)/);
    for (const part of [api, worker]) part.child.kill('SIGTERM');
    await Promise.all([api.exited, worker.exited]);
  });
});

test('the compose file starts a broker, and both programs behind it', () => {
  const compose = readFileSync(join(service, 'compose.yaml'), 'utf8');
  expect(compose.match(/^ {2}(rabbitmq|api|worker):$/gm)).toHaveLength(3);
  expect(compose.match(/MILLRACE_URL: amqp:\/\/rabbitmq$/gm)).toHaveLength(2);
  expect(compose.match(/condition: service_healthy$/gm)).toHaveLength(2);
  const programs = [...compose.matchAll(/command: \[node, (\S+)\]/g)].map(([, file]) => file as string);
  expect(programs).toHaveLength(2);
  for (const file of programs) expect(existsSync(join(service, file))).toBe(true);
});

test('a directory that is not empty is refused, and with --force nothing in it is overwritten', async () => {
  const used = join(folder, 'used');
  mkdirSync(used);
  writeFileSync(join(used, 'README.md'), 'mine');
  const refused = await millrace(['init', used]);
  expect([refused.exitCode, refused.stderr]).toEqual([
    2,
    expect.stringContaining('is not empty (README.md)'),
  ]);
  expect(readdirSync(used)).toEqual(['README.md']);
  const forced = await millrace(['init', used, '--force']);
  expect([forced.exitCode, forced.stdout]).toEqual([
    0,
    expect.stringContaining('README.md exists, and was kept'),
  ]);
  expect(readFileSync(join(used, 'README.md'), 'utf8')).toBe('mine');
  expect(existsSync(join(used, 'src/api.ts'))).toBe(true);
});

test('a place that cannot be written is an error with its reason', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const { exitCode, stderr } = await millrace(['init', join(file, 'below')]);
  expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/can't be written: ENOTDIR/)]);
});
