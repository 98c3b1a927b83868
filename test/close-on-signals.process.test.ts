import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { closeOnSignals } from '../src/close-on-signals.js';
import { connect } from '../src/connect.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs in a process of its own. `during`: what the handler of the only message does. */
const program = (during: string) => `
  import { closeOnSignals, connect, createConsumer, createProducer, defineQueue } from 'millrace';
  import { setTimeout as delay } from 'node:timers/promises';
  const schema = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
  const broker = await connect('local:');
  const jobs = defineQueue('jobs', schema);
  const stopping = async () => { while (consumer.state === 'running') await delay(1); };
  const consumer = createConsumer(broker, jobs, async () => { ${during} });
  const { closed } = closeOnSignals(broker, [consumer]);
  closed.then((signal) => console.log('closed by', signal, broker.state, consumer.counts.handled));
  await consumer.start();
  await createProducer(broker, jobs).send('x');
`;

async function run(during: string) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program(during)], { cwd: root });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.pipe(process.stderr);
  const [code, signal] = await once(child, 'close');
  return { code, signal, stdout };
}

test.concurrent('the first signal lets running handlers finish, closes the broker, and the process ends', async () => {
  const ended = await run(`process.kill(process.pid, 'SIGTERM'); await stopping(); console.log('handled');`);
  expect(ended).toEqual({ code: 0, signal: null, stdout: 'handled\nclosed by SIGTERM closed 1\n' });
});

test.concurrent('a second signal ends the process although a handler still runs', async () => {
  const ended = await run(`
    process.kill(process.pid, 'SIGTERM');
    await stopping();
    process.kill(process.pid, 'SIGINT');
    await new Promise((resolve) => setInterval(() => {}, 60_000));
  `);
  expect(ended).toEqual({ code: null, signal: 'SIGINT', stdout: '' });
});

test('it leaves the signals to others when it is disposed of, and refuses what it can not stop', async () => {
  const broker = await connect('local:');
  const before = process.listenerCount('SIGTERM');
  closeOnSignals(broker)[Symbol.dispose]();
  expect(process.listenerCount('SIGTERM')).toBe(before);
  expect(() => closeOnSignals(broker, [{} as never])).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  );
  expect(() => closeOnSignals(broker, [], { deadline: 5 } as never)).toThrow(/there is no option "deadline"/);
  await broker.close();
});
