import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  findCycle,
  type Import,
  importsOf,
  moduleGraph,
  reachableFrom,
  sourceFiles,
} from './support/module-graph.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = fileURLToPath(new URL('../src', import.meta.url));
const imports = moduleGraph(source);

/** The folder that a file is in; files at the top are parts of their own. */
const partOf = (file: string) => file.split('/')[0] ?? file;
const isOurs = (file: string) => file.endsWith('.ts');
const show = ({ from, to, kind }: Import) => `${from} → ${to} (${kind})`;
const breaches = (isBreach: (arrow: Import) => boolean) => imports.filter(isBreach).map(show);

const SIDES = ['producer', 'consumer'];
const BACKENDS = ['local-queue', 'rabbitmq'];
const SEAM = ['broker.ts', 'broker-events.ts', 'delivery.ts', 'message.ts', 'operator.ts', 'specs.ts'];
/** What every part may import: the seam, the errors, and the small modules in common/. */
const isShared = (file: string) => SEAM.includes(file) || file === 'errors.ts' || file.startsWith('common/');

describe('the arrows between the parts', () => {
  test('the files of the seam import each other, and the errors nothing', () => {
    expect(breaches(({ from, to }) => SEAM.includes(from) && !SEAM.includes(to))).toEqual([]);
    expect(breaches(({ from }) => from === 'errors.ts')).toEqual([]);
  });

  test('the seam is imported through its front', () => {
    expect(
      breaches(({ from, to }) => SEAM.includes(to) && to !== 'broker.ts' && !SEAM.includes(from)),
    ).toEqual([]);
  });

  test('shared files import only each other, node, the types of schemas and, in one place, the JSON parser', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      isShared(to) ||
      to.startsWith('node:') ||
      (to === 'secure-json-parse' && from === 'common/encoding/codec.ts') ||
      (to === '@standard-schema/spec' && kind === 'type');
    expect(breaches((arrow) => isShared(arrow.from) && !isAllowed(arrow))).toEqual([]);
  });

  test('in common/, each room imports itself, the seam, the errors, the options and the rooms that it is built on', () => {
    const builtOn: Readonly<Record<string, readonly string[]>> = {
      'common/definitions': ['common/encoding'],
      'common/encoding': [],
      'common/hooks': ['common/reporting'],
      'common/message': [],
      'common/operator': ['common/waiting'],
      'common/reporting': [],
      'common/waiting': [],
    };
    const isAllowed = ({ from, to }: Import) =>
      dirname(to) === dirname(from) ||
      ['common/options.ts', 'broker.ts', 'errors.ts'].includes(to) ||
      builtOn[dirname(from)]?.includes(dirname(to)) ||
      !isOurs(to);
    expect(breaches((arrow) => arrow.from.startsWith('common/') && !isAllowed(arrow))).toEqual([]);
  });

  test('producer and consumer import themselves, the queue, the leaves and the types of schemas', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      to === 'queue.ts' ||
      to === 'exchange.ts' ||
      isShared(to) ||
      to.startsWith('node:') ||
      (to === '@standard-schema/spec' && kind === 'type') ||
      (to === 'piscina' && from === 'consumer/handler-threads.ts');
    expect(breaches((arrow) => SIDES.includes(partOf(arrow.from)) && !isAllowed(arrow))).toEqual([]);
  });

  test('pacing imports deliveries and their outcomes, nothing else of the consumer', () => {
    const room = 'consumer/pace/';
    const isAllowed = ({ to, kind }: Import) =>
      to.startsWith(room) || isShared(to) || (to === 'consumer/settlement.ts' && kind === 'type');
    expect(breaches((arrow) => arrow.from.startsWith(room) && !isAllowed(arrow))).toEqual([]);
  });

  test('locks import themselves, the queue, the leaves and the types of schemas: they work on any backend', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      to === 'queue.ts' ||
      isShared(to) ||
      to.startsWith('node:') ||
      (to === '@standard-schema/spec' && kind === 'type');
    expect(breaches((arrow) => partOf(arrow.from) === 'locks' && !isAllowed(arrow))).toEqual([]);
  });

  test('batches import themselves, the consumer, the types of the queue and the leaves', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      partOf(to) === 'consumer' ||
      (to === 'queue.ts' && kind === 'type') ||
      isShared(to);
    expect(breaches((arrow) => partOf(arrow.from) === 'batches' && !isAllowed(arrow))).toEqual([]);
  });

  test('topics are built on the producer and the queue: no backend and no consumer knows them', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      partOf(to) === 'producer' ||
      to === 'queue.ts' ||
      isShared(to) ||
      to.startsWith('node:') ||
      (to === '@standard-schema/spec' && kind === 'type');
    expect(breaches((arrow) => partOf(arrow.from) === 'topics' && !isAllowed(arrow))).toEqual([]);
    const mayImport = ['index.ts', 'topics', 'schedules', 'cli'];
    expect(breaches(({ from, to }) => partOf(to) === 'topics' && !mayImport.includes(partOf(from)))).toEqual(
      [],
    );
  });

  test('schedules are made of the producer, the queue and topics, and croner is loaded on demand', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      partOf(to) === 'producer' ||
      partOf(to) === 'topics' ||
      (to === 'queue.ts' && kind === 'type') ||
      isShared(to) ||
      to.startsWith('node:') ||
      (to === 'croner' && kind === 'type' && from === 'schedules/timing.ts');
    expect(breaches((arrow) => partOf(arrow.from) === 'schedules' && !isAllowed(arrow))).toEqual([]);
    expect(breaches(({ to }) => to === 'croner').length).toBe(1);
  });

  test('dead letters import themselves, the types of the queue and the leaves', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      (to === 'queue.ts' && kind === 'type') ||
      isShared(to) ||
      to.startsWith('node:');
    expect(breaches((arrow) => partOf(arrow.from) === 'dead-letters' && !isAllowed(arrow))).toEqual([]);
  });

  test('backends import themselves, the leaves and their packages: they never see a schema or a codec', () => {
    const isAllowed = ({ from, to }: Import) => partOf(to) === partOf(from) || isShared(to) || !isOurs(to);
    expect(breaches((arrow) => BACKENDS.includes(partOf(arrow.from)) && !isAllowed(arrow))).toEqual([]);
  });

  test('from outside, only connect.ts, diagnose.ts and the public index import a backend', () => {
    const isOutside = ({ from, to }: Import) => partOf(from) !== partOf(to);
    const mayImport = ['connect.ts', 'diagnose.ts', 'index.ts'];
    expect(
      breaches(
        (arrow) => BACKENDS.includes(partOf(arrow.to)) && isOutside(arrow) && !mayImport.includes(arrow.from),
      ),
    ).toEqual([]);
  });

  test('amqplib is imported in rabbitmq/ alone', () => {
    expect(breaches(({ from, to }) => to === 'amqplib' && partOf(from) !== 'rabbitmq')).toEqual([]);
    expect(breaches(({ to }) => to.startsWith('amqplib/'))).toEqual([]);
  });

  test('in rabbitmq/, what a consumer moves goes through the publisher, which knows no consumer', () => {
    const room = (file: string) => file.split('/').slice(0, 2).join('/');
    expect(
      breaches(({ from, to }) => room(from) === 'rabbitmq/publish' && room(to) === 'rabbitmq/consume'),
    ).toEqual([]);
  });

  test('in rabbitmq/, connections, topology and wire know neither publishing nor consuming', () => {
    const room = (file: string) => file.split('/').slice(0, 2).join('/');
    const below = ['rabbitmq/connection', 'rabbitmq/topology', 'rabbitmq/wire'];
    const above = ['rabbitmq/publish', 'rabbitmq/consume'];
    expect(breaches(({ from, to }) => below.includes(room(from)) && above.includes(room(to)))).toEqual([]);
  });

  test('in rabbitmq/, the wire knows none of the other rooms', () => {
    const room = (file: string) => file.split('/').slice(0, 2).join('/');
    const isAllowed = ({ to }: Import) => room(to) === 'rabbitmq/wire' || isShared(to) || !isOurs(to);
    expect(breaches((arrow) => room(arrow.from) === 'rabbitmq/wire' && !isAllowed(arrow))).toEqual([]);
  });

  test('nothing that the index imports ahead of time needs amqplib', () => {
    const atOnce = imports.filter(({ kind }) => kind === 'static');
    const reached = reachableFrom('index.ts', atOnce);
    expect(reached).toContain('connect.ts');
    expect([...reached].filter((file) => file === 'amqplib')).toEqual([]);
    expect([...reached].filter((file) => file === 'rabbitmq/rabbitmq-broker.ts')).toEqual([]);
    expect(reachableFrom('index.ts', imports)).toContain('rabbitmq/rabbitmq-broker.ts');
  });

  test('the store thread of the queue on disk imports nothing of the main thread', () => {
    const room = 'local-queue/disk/store/';
    const main = (file: string) =>
      file.startsWith('local-queue/disk/') &&
      !file.startsWith(room) &&
      !['lock-holder', 'protocol', 'message-lists', 'message-json', 'wake-file'].some((name) =>
        file.endsWith(`/${name}.ts`),
      );
    expect(breaches(({ from, to }) => from.startsWith(room) && main(to))).toEqual([]);
  });

  test('the local brokers in memory and on disk know nothing of each other', () => {
    const memory = 'local-queue/memory/';
    const disk = 'local-queue/disk/';
    const isBreach = ({ from, to }: Import) =>
      (from.startsWith(memory) && to.startsWith(disk)) || (from.startsWith(disk) && to.startsWith(memory));
    expect(breaches(isBreach)).toEqual([]);
  });

  test('metrics import themselves, the types of consumers and the leaves, and only the command line imports them', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      (partOf(to) === 'consumer' && kind === 'type') ||
      isShared(to) ||
      to.startsWith('node:');
    expect(breaches((arrow) => partOf(arrow.from) === 'metrics' && !isAllowed(arrow))).toEqual([]);
    const mayImport = ['metrics', 'cli'];
    expect(breaches(({ from, to }) => partOf(to) === 'metrics' && !mayImport.includes(partOf(from)))).toEqual(
      [],
    );
  });

  test('the page is built on dead letters, schedules and operations, and only the command line imports it', () => {
    const isAllowed = ({ from, to }: Import) =>
      partOf(to) === partOf(from) ||
      ['dead-letters', 'schedules', 'operations'].includes(partOf(to)) ||
      isShared(to) ||
      to.startsWith('node:');
    expect(breaches((arrow) => partOf(arrow.from) === 'page' && !isAllowed(arrow))).toEqual([]);
    expect(
      breaches(({ from, to }) => partOf(to) === 'page' && !['page', 'cli'].includes(partOf(from))),
    ).toEqual([]);
  });

  test('the scripts of the browser import nothing else, and are compiled for browsers', () => {
    const room = 'page/client/';
    expect(breaches(({ from, to }) => from.startsWith(room) && !to.startsWith(room))).toEqual([]);
    // Types of what the server sends to the browser are shared.
    const isShared = ({ to, kind }: Import) => kind === 'type' && to === `${room}job-view.ts`;
    expect(
      breaches((arrow) => !arrow.from.startsWith(room) && arrow.to.startsWith(room) && !isShared(arrow)),
    ).toEqual([]);
  });

  test('otel imports itself and the leaves, and nothing imports it, so only its users need OpenTelemetry', () => {
    const isAllowed = ({ from, to }: Import) =>
      partOf(to) === partOf(from) || isShared(to) || to === '@opentelemetry/api';
    expect(breaches((arrow) => partOf(arrow.from) === 'otel' && !isAllowed(arrow))).toEqual([]);
    const isInside = ({ from }: Import) => partOf(from) === 'otel';
    expect(breaches((arrow) => !isInside(arrow) && partOf(arrow.to) === 'otel')).toEqual([]);
    expect(breaches((arrow) => !isInside(arrow) && arrow.to.startsWith('@opentelemetry/'))).toEqual([]);
  });

  test('threads are loaded on demand', () => {
    const needs = imports.filter(({ to, kind }) => to === 'piscina' && kind !== 'type');
    expect(needs.map(show)).toEqual(['consumer/handler-threads.ts → piscina (dynamic)']);
  });

  test('nothing imports the command line, and only the command line imports the index', () => {
    expect(breaches(({ from, to }) => partOf(to) === 'cli' && partOf(from) !== 'cli')).toEqual([]);
    expect(breaches(({ from, to }) => to === 'index.ts' && partOf(from) !== 'cli')).toEqual([]);
  });

  test('the testing kit imports no backend and no framework, and nothing imports it', () => {
    const isAllowed = ({ from, to, kind }: Import) =>
      partOf(to) === partOf(from) ||
      to === 'connect.ts' ||
      to === 'queue.ts' ||
      isShared(to) ||
      to.startsWith('node:') ||
      (SIDES.includes(partOf(to)) && kind === 'type');
    expect(breaches((arrow) => partOf(arrow.from) === 'testing' && !isAllowed(arrow))).toEqual([]);
    expect(breaches(({ from, to }) => partOf(to) === 'testing' && partOf(from) !== 'testing')).toEqual([]);
  });

  test('there is no cycle at run time', () => {
    expect(findCycle(imports.filter(({ kind }) => kind !== 'type'))).toBeUndefined();
  });

  test('there is no cycle between files, not even of types', () => {
    expect(findCycle(imports)).toBeUndefined();
  });

  test('there is no cycle between the parts, not even of types', () => {
    const between = imports
      .filter(({ from, to }) => isOurs(to) && partOf(from) !== partOf(to))
      .map(({ from, to, kind }) => ({ from: partOf(from), to: partOf(to), kind }));
    expect(findCycle(between)).toBeUndefined();
  });
});

describe('the room of the local queues', () => {
  const files = sourceFiles(source).filter((file) => file.startsWith('local-queue/'));

  test('has no file above 300 lines', () => {
    const lines = (file: string) => readFileSync(`${source}/${file}`, 'utf8').trimEnd().split('\n').length;
    expect(files.filter((file) => lines(file) > 300)).toEqual([]);
  });

  test('has no folder with more than 22 files', () => {
    const counts = new Map<string, number>();
    for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > 22)).toEqual([]);
  });
});

describe('imports', () => {
  test('name files that are there', () => {
    const files = new Set(sourceFiles(source));
    expect(breaches(({ to }) => isOurs(to) && !files.has(to))).toEqual([]);
  });

  test('name packages that the package depends on, and node modules by their prefix', () => {
    const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(
      readFileSync(`${root}/package.json`, 'utf8'),
    ) as Record<'dependencies' | 'optionalDependencies' | 'peerDependencies', Record<string, string>>;
    const installed = { ...dependencies, ...optionalDependencies, ...peerDependencies };
    // `@scope/name/part` is part of `@scope/name`.
    const packageOf = (to: string) => /^(?:@[^/]+\/)?[^/]+/.exec(to)?.[0] ?? to;
    const isKnown = (to: string) =>
      isOurs(to) || to.startsWith('node:') || Object.hasOwn(installed, packageOf(to));
    expect(breaches(({ to }) => !isKnown(to))).toEqual([]);
  });
});

describe('the tools of this test', () => {
  test('see every form of import, and none in a comment', () => {
    const code = [
      "import type { A } from './a.js';",
      "import { type B, b } from '../b.js';",
      'import {',
      '  c,',
      "} from './deep/c.js';",
      "import 'node:fs';",
      "export * from './d.js';",
      "export type { E } from './e.js';",
      " * import { z } from 'zod';",
      "// await import('never');",
      "  const { f } = await import('./f.js');",
      "export const g = 'not from anywhere';",
    ].join('\n');
    expect(importsOf('part/file.ts', code)).toEqual([
      { from: 'part/file.ts', to: 'part/a.ts', kind: 'type' },
      { from: 'part/file.ts', to: 'b.ts', kind: 'static' },
      { from: 'part/file.ts', to: 'part/deep/c.ts', kind: 'static' },
      { from: 'part/file.ts', to: 'node:fs', kind: 'static' },
      { from: 'part/file.ts', to: 'part/d.ts', kind: 'static' },
      { from: 'part/file.ts', to: 'part/e.ts', kind: 'type' },
      { from: 'part/file.ts', to: 'part/f.ts', kind: 'dynamic' },
    ]);
  });

  test('find a cycle where there is one', () => {
    const arrow = (from: string, to: string): Import => ({ from, to, kind: 'type' });
    const straight = [arrow('a', 'b'), arrow('b', 'c'), arrow('a', 'c')];
    expect(findCycle(straight)).toBeUndefined();
    expect(findCycle([...straight, arrow('c', 'b')])).toEqual(['b', 'c', 'b']);
  });
});
