/** `millrace send` and `millrace work` as a user without any broker has them: two processes, one folder. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.js';
import { Millrace, millrace } from '../support/spawn-millrace.js';

let stateHome: string;
let env: Record<string, string>;

beforeEach(async () => {
  stateHome = await mkdtemp(join(tmpdir(), 'millrace-state-'));
  env = { XDG_STATE_HOME: stateHome };
});

afterEach(() => rm(stateHome, { recursive: true, force: true }));

const send = (...args: string[]) => millrace(['send', ...args], { env });
const work = (...args: string[]) => new Millrace(['work', ...args], { env });

test('messages sent before a worker starts are printed by the next worker', async () => {
  expect(await send('Hello World!')).toEqual({
    exitCode: 0,
    stdout: " [x] Sent 'Hello World!'\n",
    stderr: '',
  });
  const worker = work('--count', '1');
  expect(await worker.exit()).toBe(0);
  expect(worker.stdout).toBe(" [x] Received 'Hello World!'\n");
});

test('messages sent while a worker waits are printed at once', async () => {
  const worker = work();
  await worker.said("Waiting for messages in 'hello'");
  await send('Hello World!');
  await worker.said(" [x] Received 'Hello World!'");
  worker.child.kill('SIGINT');
  expect(await worker.exit()).toBe(0);
});

test('both print which broker they use, and where the address comes from', async () => {
  const folder = join(stateHome, 'millrace');
  const worker = work();
  await worker.said('Waiting for messages');
  const started = { event: 'started', queue: 'hello', broker: `local:${folder}`, source: 'the default' };
  expect(JSON.parse(worker.stderr.split('\n')[0] ?? '')).toMatchObject(started);
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(0);
  const sender = new Millrace(['send', 'x'], { env: { MILLRACE_URL: `local:${folder}` } });
  expect(await sender.exit()).toBe(0);
  expect(sender.brokerLine).toBe(` [*] Broker: local:${folder} (MILLRACE_URL)\n`);
});

test.each([
  ['dlq', ['dlq', 'list'], () => `local:${join(stateHome, 'millrace')}`],
  ['demo', ['demo', '--messages', '1'], () => 'local:'],
])('%s says so, too', async (_name, args, address) => {
  await send('x');
  const command = new Millrace(args, { env });
  await command.exit();
  expect(command.brokerLine).toBe(` [*] Broker: ${address()} (the default)\n`);
});

test('the folder is for its owner alone', async () => {
  await send('x');
  expect((await stat(join(stateHome, 'millrace'))).mode & 0o777).toBe(0o700);
});

test('a message in the hands of a worker that is killed comes to the next one, marked', async () => {
  await send('precious');
  const first = work('--exec', 'echo taken >&2; exec sleep 20 >&- 2>&-');
  await first.said('taken');
  first.child.kill('SIGKILL');
  await first.exit();
  const second = work('--json', '--count', '1');
  expect(await second.exit()).toBe(0);
  expect(JSON.parse(second.stdout)).toMatchObject({ body: 'precious', redelivered: true });
});

test('two workers share the messages, and nothing is printed twice', async () => {
  const workers = [work('--json', '-p', '1'), work('--json', '-p', '1')];
  await Promise.all(workers.map((worker) => worker.said('started')));
  const numbers = Array.from({ length: 2000 }, (_, index) => String(index));
  const sender = await millrace(['send', '-l'], { env, input: numbers.join('\n') });
  expect(sender.exitCode).toBe(0);
  const printed = () =>
    workers.flatMap(({ stdout }) =>
      [...stdout.matchAll(/^\{.*\}$/gm)].map(([line]) => (JSON.parse(line) as { body: string }).body),
    );
  await eventually(() => printed().length >= numbers.length);
  for (const worker of workers) worker.child.kill('SIGTERM');
  expect(await Promise.all(workers.map((worker) => worker.exit()))).toEqual([0, 0]);
  expect(printed().sort()).toEqual([...numbers].sort());
  for (const { stdout } of workers) expect(stdout).not.toBe('');
});

test('CTRL+C in the middle loses nothing, and nothing is printed twice', async () => {
  const numbers = Array.from({ length: 200 }, (_, index) => `number ${index};`);
  await millrace(['send', '-l'], { env, input: numbers.join('\n') });
  const first = work('--exec', 'cat');
  await first.said('number 17;');
  first.child.kill('SIGINT');
  expect(await first.exit()).toBe(0);
  const second = work('--exec', 'cat', '--drain');
  expect(await second.exit()).toBe(0);
  expect(second.stdout).not.toBe('');
  expect(`${first.stdout}${second.stdout}`.match(/number \d+;/g)?.sort()).toEqual([...numbers].sort());
});
