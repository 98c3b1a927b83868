/**
 * `npm run test:frameworks`: compiles the servers in examples/frameworks, starts each on a folder, and on the broker that
 * TEST_AMQP_URL names, sends it a good order and a bad one, waits until the good one is handled, and stops it by SIGTERM.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const folder = join(root, 'examples/frameworks');
/** For a machine that is busy with other things. */
const LIMIT_MS = 120_000;

// What `npm install millrace` puts into a project. Only dist is a link: one to the clone would contain itself.
const installed = join(folder, 'node_modules/millrace');
rmSync(installed, { recursive: true, force: true });
mkdirSync(installed);
copyFileSync(join(root, 'package.json'), join(installed, 'package.json'));
symlinkSync(join(root, 'dist'), join(installed, 'dist'), 'junction');
const compiler = join(root, 'node_modules/typescript/bin/tsc');
if (spawnSync(process.execPath, [compiler, '-p', folder], { stdio: 'inherit' }).status !== 0) process.exit(1);

const queues = mkdtempSync(join(tmpdir(), 'millrace-frameworks-'));
const amqpUrl = process.env.TEST_AMQP_URL;
try {
  for (const name of ['fastify', 'nest']) {
    for (const url of [`local:${queues}`, ...(amqpUrl ? [amqpUrl] : [])]) {
      await tryServer(name, url);
      const where = url === amqpUrl ? 'RabbitMQ' : 'a folder';
      console.log(`${name}, on ${where}: an order was stored, handled, and a bad one refused`);
    }
  }
} finally {
  rmSync(queues, { recursive: true, maxRetries: 3 });
}

/**
 * @param {string} name
 * @param {string} address
 */
async function tryServer(name, address) {
  const server = spawn(process.execPath, [join(folder, `dist/${name}.js`)], {
    env: { ...process.env, MILLRACE_URL: address, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LIMIT_MS,
  });
  const ended = once(server, 'exit');
  try {
    let printed = '';
    server.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
    const said = async (/** @type {RegExp} */ pattern) => {
      for (;;) {
        const found = pattern.exec(printed);
        if (found !== null) return found;
        const isOver = await Promise.race([
          once(server.stdout, 'data').then(() => false),
          ended.then(() => true),
        ]);
        if (isOver && !pattern.test(printed)) throw new Error(`${name} ended without ${pattern}: ${printed}`);
      }
    };
    const [, url] = await said(/listening at (\S+)/);
    const post = async (/** @type {object} */ order) => {
      const response = await fetch(new URL('/orders', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(order),
      });
      return `${response.status} ${await response.text()}`;
    };
    expect(await post({ id: 'A-1' }), /^400 .*total/);
    expect(await post({ id: 'A-2', total: 12.5 }), /^202 .*"id":"[0-9a-f-]{36}"/);
    await said(/shipping A-2/);
    server.kill('SIGTERM');
    const [code, signal] = await ended;
    // Nest ends itself by the signal after its hooks have run.
    expect(`${code ?? signal}`, /^(0|SIGTERM)$/);
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
}

/**
 * @param {string} text
 * @param {RegExp} pattern
 */
function expect(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} expected, instead: ${text}`);
}
