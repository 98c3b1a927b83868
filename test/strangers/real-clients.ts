/** Programs of other clients that publish messages of the corpus, where they can run. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { missingPackage, succeeds } from '../support/debian-package.js';

const execute = promisify(execFile);
/** Debian's own: its packages are of no use to another one. */
const PYTHON = '/usr/bin/python3';
const JARS = ['amqp-client', 'slf4j-api'].map((name) => `/usr/share/java/${name}.jar`);

export interface RealClient {
  /** As the corpus calls its message. */
  readonly client: string;
  readonly command: readonly string[];
  /** Why it can't run here; undefined: it can. */
  readonly missing: string | undefined;
}

const path = (program: string) => fileURLToPath(new URL(`clients/${program}`, import.meta.url));

async function noModule(packageName: string, module: string): Promise<string | undefined> {
  if (!existsSync(PYTHON)) return `there is no ${PYTHON}`;
  return missingPackage(packageName, () => succeeds(PYTHON, '-c', `import ${module}`));
}

async function noJava(): Promise<string | undefined> {
  // Too large to be installed for a test.
  if (!(await succeeds('java', '--version'))) return 'there is no java';
  return missingPackage('librabbitmq-client-java', async () => JARS.every((jar) => existsSync(jar)));
}

/** `which`: for a program that publishes more than one message. */
export async function realClients(): Promise<readonly RealClient[]> {
  // One after another: they share the lock of the package manager.
  const pika = await noModule('python3-pika', 'pika');
  const kombu = await noModule('python3-kombu', 'kombu');
  const msgpack = kombu ?? (await noModule('python3-msgpack', 'msgpack'));
  const aioPika = await noModule('python3-aio-pika', 'aio_pika');
  const amqpTools = await missingPackage('amqp-tools', () => succeeds('amqp-publish', '--help'));
  const java = await noJava();
  const python = (program: string, ...which: string[]) => [PYTHON, path(program), 'URL', 'QUEUE', ...which];
  return [
    { client: 'pika, without properties', command: python('publish_with_pika.py', 'plain'), missing: pika },
    {
      client: 'pika, with every type that it encodes',
      command: python('publish_with_pika.py', 'all'),
      missing: pika,
    },
    { client: 'Celery', command: python('publish_with_kombu.py', 'celery'), missing: kombu },
    {
      client: 'kombu, with msgpack, which it labels binary',
      command: python('publish_with_kombu.py', 'msgpack'),
      missing: msgpack,
    },
    {
      client: 'kombu, with pickle and zlib, which it says in a header',
      command: python('publish_with_kombu.py', 'pickle'),
      missing: kombu,
    },
    { client: 'aio-pika', command: python('publish_with_aio_pika.py'), missing: aioPika },
    { client: 'librabbitmq, for C', command: amqpPublish(), missing: amqpTools },
    {
      client: 'Java, with every type that it encodes',
      command: ['java', '-cp', JARS.join(':'), path('PublishWithJava.java'), 'URL', 'QUEUE'],
      missing: java,
    },
  ];
}

function amqpPublish(): string[] {
  const headers = ['-H', 'tenant: blue', '-H', 'count: 5'];
  const properties = ['-C', 'text/plain', '-E', 'utf-8', ...headers];
  return ['amqp-publish', '-u', 'URL', '-r', 'QUEUE', ...properties, '-b', 'hello'];
}

/** Has the program publish to `queue`, and resolves when it has ended. */
export async function publishReally(client: RealClient, url: string, queue: string): Promise<void> {
  const values: Readonly<Record<string, string>> = { URL: url, QUEUE: queue };
  const [command = '', ...args] = client.command.map((part) => values[part] ?? part);
  await execute(command, args, { timeout: 60_000 });
}
