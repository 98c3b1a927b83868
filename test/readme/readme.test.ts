import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amqpUrl } from '../support/broker.js';

const ROOT = new URL('../../', import.meta.url);
/** Inside the package, so that `import … from 'millrace'` finds it as it finds itself. */
const BLOCKS = new URL('test/readme/.blocks/', ROOT);
const execute = promisify(execFile);

/** What a program prints before it ends by itself; or until it is told to end, by SIGTERM, which it does with code 0. */
type Prints = RegExp | { readonly until: RegExp };

/** Each block of TypeScript in the README and in docs/, in its order, and what it prints. */
const PROGRAMS: Readonly<Record<string, readonly (Prints | 'a part' | 'a module')[]>> = {
  'README.md': [/^order A-1: 12\.5 \(attempt 1\)\n$/],
  'docs/around.md': [
    /^A-1 of mill\n$/,
    /^signed\nnot signed by us\n$/,
    /^\{"queue":"orders","id":"m-1","attempt":1,"text":"shipped"\}\n$/,
  ],
  'docs/batches.md': [/^rye,oats 1\n$/],
  'docs/dead-letters.md': [
    /^rejected no licence 1\n0 would be dropped\n1 replayed\n$/,
    /^(attempt [12]: order A-1 was not placed string string number\n){2}Error: order A-1 was not placed\n {2}\[cause\]: RangeError: no route to warehouse 2\n$/,
  ],
  'docs/events.md': [
    /^((true 36|billing A-1: 12\.5|mail A-1: order\.placed)\n){3}$/,
    /^Map\(1\) \{ 'rye' => 3 \}\n$/,
    /^error out of grain\n$/,
  ],
  'docs/getting-started.md': [/^stored as [0-9a-f-]{36}\n$/, { until: /^order A-1: 12\.5 \(attempt 1\)\n$/ }],
  // Fastify and Nest are not among the packages that are installed here: see the last test, and test:frameworks.
  'docs/guides/frameworks.md': ['a part', 'a part'],
  'docs/guides/from-amqplib.md': [/^millrace got A-1\namqplib got \{"id":"A-2"\}\n$/],
  'docs/guides/from-bullmq.md': [/^welcome, a@example\.org\nreminder to b@example\.org, attempt 1\n$/],
  'docs/guides/kubernetes.md': [{ until: /^ready to be asked\n/ }],
  'docs/guides/values.md': [/^refused\n2027 2 12345678901234567891n\n$/],
  'docs/imports.md': [/^2 stored, 1 skipped, the first at position 1\n$/],
  'docs/later.md': [/^now\nlater\n$/],
  'docs/local-queue.md': [/^grain\n$/],
  'docs/locks.md': [/^alone\nalone again\n$/, /^2 at once\n$/],
  'docs/messages.md': [
    /^A-1 from shop, 3 boxes\nA-2: order\.paid\n$/,
    /^(\[Object: null prototype\] )?\{ number: 'A-1', invoices: 1 \}\n$/,
  ],
  'docs/metrics.md': [/^messaging_client_sent_messages_total\{.*name="orders".*\} 1\n200 503\n$/],
  'docs/observing.md': [
    /^error dead-lettered message m-1: dead-lettered after attempt 1, rejected: no paper for A-1\n$/,
  ],
  'docs/operations.md': [
    /^orders 1 1 0\norders\.dead 0 0 0\n\{"id":"A-2"\}\ntrue\n\{ moved: 1, left: 0, total: 1 \}\n$/,
  ],
  'docs/ordering.md': [/^$/, /^transfers\.[0-7]\n$/],
  'docs/pace.md': [/^12 took their time\npaused\n$/],
  'docs/page.md': [/^401 200\n$/],
  'docs/rabbitmq.md': [/^stored as [0-9a-f-]{36}\n$/, 'a module', 'a module', 'a module'],
  'docs/receive.md': [/^A-1: 12\.5, attempt 1\n$/],
  'docs/request-reply.md': [/^144\n$/],
  'docs/retries.md': [
    /^\/orders 429 \(attempt 1\)\n\/orders 503 \(attempt 1\)\n\/orders 200 \(attempt 2\)\n$/,
  ],
  'docs/schedules.md': [
    /^(today schedule:often:\S+Z \S+Z\n){2,}$/,
    /^(\d{4}-\d\d-\d\d schedule:end-of-day:\S+Z\n){2,}$/,
  ],
  'docs/stopping.md': [{ until: /^shipping A-1\n(ended by SIGTERM\n)?$/ }, /^0 unfinished\n$/],
  'docs/testing.md': [
    /^rejected\n$/,
    /^charged A-1\n$/,
    /^came again, and said so\n$/,
    'a module',
    'a module',
    'a module',
  ],
  'docs/threads.md': ['a module', 'a module'],
  'docs/tracing.md': [
    /^1 trace\n(?=[\s\S]*- > GET \/order)(?=[\s\S]*GET \/order > send orders)(?=[\s\S]*send orders > process orders)(?=[\s\S]*process orders > send bills)[\s\S]*send bills > process bills/,
    /^sent to hello: true\nhello: from shop\n$/,
  ],
};

const blocks = new Map<string, readonly string[]>();
const script = (page: string, index: number, ending: string) =>
  fileURLToPath(new URL(`${page.replaceAll(/[/.]/g, '-')}-${index + 1}.${ending}`, BLOCKS));

beforeAll(async () => {
  await mkdir(BLOCKS, { recursive: true });
  const files: string[] = [];
  for (const [page, outputs] of Object.entries(PROGRAMS)) {
    const text = await readFile(new URL(page, ROOT), 'utf8');
    const found = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1] ?? '');
    blocks.set(page, found);
    for (const [index, block] of found.entries()) {
      if (outputs[index] === 'a part') continue;
      files.push(script(page, index, 'ts'));
      await writeFile(script(page, index, 'ts'), block);
    }
  }
  const tsc = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT));
  const options =
    '--ignoreConfig --strict --module nodenext --target es2023 --types node --skipLibCheck --noEmitOnError';
  await execute(process.execPath, [tsc, ...options.split(' '), ...files]);
});

afterAll(() => rm(BLOCKS, { recursive: true, force: true }));

/** Programs of one page share a folder, so that one may find what another has stored. */
for (const [page, outputs] of Object.entries(PROGRAMS)) {
  for (const [index, output] of outputs.entries()) {
    if (typeof output === 'string') continue;
    test(`block ${index + 1} of ${page} compiles, runs and prints what it says`, async () => {
      const cwd = fileURLToPath(new URL(`${page.replaceAll(/[/.]/g, '-')}-files/`, BLOCKS));
      await mkdir(cwd, { recursive: true });
      const program = spawn(process.execPath, [script(page, index, 'js')], {
        cwd,
        env: { ...process.env, AMQP_URL: amqpUrl() },
        timeout: 60_000,
      });
      let stdout = '';
      let stderr = '';
      program.stderr.on('data', (part) => {
        stderr += part;
      });
      program.stdout.on('data', (part) => {
        stdout += part;
        if ('until' in output && !program.killed && output.until.test(stdout)) program.kill('SIGTERM');
      });
      const [code] = await once(program, 'close');
      expect(stdout, stderr).toMatch('until' in output ? output.until : output);
      expect(code, stderr).toBe(0);
    });
  }
}

test('no block goes untested, on no page', async () => {
  for (const folder of ['docs/', 'docs/guides/']) {
    const pages = (await readdir(new URL(folder, ROOT))).filter((name) => name.endsWith('.md'));
    for (const page of pages) {
      const text = await readFile(new URL(`${folder}${page}`, ROOT), 'utf8');
      if (text.includes('```ts')) expect(PROGRAMS).toHaveProperty([`${folder}${page}`]);
    }
  }
  for (const [page, outputs] of Object.entries(PROGRAMS))
    expect(blocks.get(page)).toHaveLength(outputs.length);
});

test('the servers of the guide are those that npm run test:frameworks starts', async () => {
  const files = ['fastify', 'nest'].map((name) => new URL(`examples/frameworks/${name}.ts`, ROOT));
  const servers = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  expect(blocks.get('docs/guides/frameworks.md')).toEqual(servers);
});
