/** Loads modules named on the command line: handlers, schemas and queue definitions. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ExchangeSpec, QueueSpec } from '../broker.js';
import type { Handler } from '../consumer/consumer.js';
import type { Exchange, Route } from '../exchange.js';
import { defineQueue, type EventQueue, type Queue } from '../queue.js';
import type { Schedule } from '../schedules/schedule.js';
import type { Topic } from '../topics/topic.js';
import { shellQuoted } from './common-options.js';
import { CommandError, EXIT } from './exit-code.js';

type Exports = Readonly<Record<string, unknown>>;

/** The default export of a module: a handler of messages. */
export async function importHandler(path: string): Promise<Handler<unknown>> {
  const handler = defaultOf(await importModule('handler module', path));
  if (typeof handler === 'function') return handler as Handler<unknown>;
  throw new CommandError(
    EXIT.configuration,
    `the default export of the handler module '${path}' is not a function; write: export default async (value, { id, attempt, signal }) => { … }`,
  );
}

/** The queue `name`, as defined by a module whose default export is a schema or a queue made by `defineQueue`. */
export async function importQueue(
  path: string,
  name: string,
): Promise<Pick<Queue<never, unknown>, 'name' | 'spec' | 'decode'>> {
  const definition = defaultOf(await importModule('schema module', path));
  if (isQueue(definition)) {
    if (definition.name === name) return definition;
    throw new CommandError(
      EXIT.usage,
      `the schema module '${path}' defines the queue '${definition.name}', not '${name}': add --queue ${shellQuoted(definition.name)}`,
    );
  }
  if (isSchema(definition)) return defineQueue(name, definition);
  throw new CommandError(
    EXIT.configuration,
    `the default export of the schema module '${path}' is not a schema; write: export default z.object({ … }), or export a queue made by defineQueue`,
  );
}

/** All schedules that a module exports. */
export async function importSchedules(path: string): Promise<readonly Schedule[]> {
  const exports = await importModule('schedule module', path);
  const schedules = valuesOf(exports).filter(isSchedule);
  if (schedules.length > 0) return schedules;
  throw new CommandError(
    EXIT.configuration,
    `the schedule module '${path}' exports no schedule; write: export const nightly = defineSchedule('nightly', { cron: '0 3 * * *', send: [queue, value] })`,
  );
}

/**
 * How the values of an event are decoded: by the topic `name` that a module exports, or by the schema that is its default
 * export.
 */
export async function importEvent(
  path: string,
  name: string,
  event: string,
): Promise<Pick<Queue<never, unknown>, 'decode'>> {
  const exports = await importModule('schema module', path);
  const topics = valuesOf(exports).filter(isTopic);
  const topic = topics.find((each) => each.name === name);
  if (topic !== undefined) {
    const values = Object.hasOwn(topic.events, event) ? topic.events[event] : undefined;
    if (values !== undefined) return values;
    const events = Object.keys(topic.events).join(', ');
    throw new CommandError(
      EXIT.invalidData,
      `the topic '${name}' of '${path}' has no event '${event}'; its events are ${events}`,
    );
  }
  const schema = defaultOf(exports);
  if (isSchema(schema)) return defineQueue(name, schema);
  const others = topics.map((each) => `'${each.name}'`).join(', ');
  throw new CommandError(
    EXIT.configuration,
    topics.length > 0
      ? `the schema module '${path}' defines the topics ${others}, not '${name}'`
      : `the schema module '${path}' exports no topic, and its default export is no schema; write: export const topic = defineTopic('${name}', { … })`,
  );
}

/** The queues and exchanges of an application. */
export interface TopologyModule {
  readonly queues: readonly QueueSpec[];
  readonly exchanges: readonly ExchangeSpec[];
  /** With the schemas of their messages. */
  readonly definitions: readonly Definition[];
}

/** The possible exports of a module. */
export type Definition =
  | { readonly kind: 'queue'; readonly queue: Queue<never, unknown> | EventQueue<object> }
  | { readonly kind: 'topic'; readonly topic: Topic }
  | { readonly kind: 'route'; readonly route: Route<unknown> };

/**
 * All queues, subscriptions, topics, exchanges and routes that a module exports. Leaves out queues that end with their
 * process.
 */
export async function importTopology(path: string): Promise<TopologyModule> {
  const exports = await importModule('module', path);
  const queues = new Map<string, QueueSpec>();
  const exchanges = new Map<string, ExchangeSpec>();
  const definitions: Definition[] = [];
  const addQueue = (spec: QueueSpec) => {
    queues.set(spec.name, spec);
    for (const { exchange } of spec.bindings ?? []) exchanges.set(exchange.name, exchange);
  };
  for (const value of valuesOf(exports)) {
    if (isQueue(value)) {
      if (value.spec.exclusive) continue;
      definitions.push({ kind: 'queue', queue: value });
      addQueue(value.spec);
    } else if (isTopic(value)) {
      definitions.push({ kind: 'topic', topic: value });
      if (value.unroutedQueue !== undefined) addQueue(value.unroutedQueue);
      exchanges.set(value.name, value.exchange.spec);
    } else if (isRoute(value)) {
      definitions.push({ kind: 'route', route: value });
      exchanges.set(value.name, value.exchange);
    } else if (isExchange(value)) exchanges.set(value.name, value.spec);
  }
  if (queues.size + exchanges.size > 0) {
    return { queues: [...queues.values()], exchanges: [...exchanges.values()], definitions };
  }
  throw new CommandError(
    EXIT.configuration,
    `the module '${path}' exports no queue, subscription, topic or exchange; write: export const orders = defineQueue('orders', schema, { … })`,
  );
}

async function importModule(what: string, path: string): Promise<Exports> {
  const file = resolve(path);
  if (!existsSync(file)) throw new CommandError(EXIT.usage, `there is no ${what} '${path}'`);
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ERR_UNKNOWN_FILE_EXTENSION' && /\.[cm]?ts$/.test(path)
        ? `Node.js ${process.versions.node} does not run TypeScript: use Node.js 22.18 or later, or compile it`
        : (message ?? String(error));
    throw new CommandError(EXIT.configuration, `the ${what} '${path}' can't be loaded: ${reason}`, {
      cause: error,
    });
  }
}

/** All that a module exports, each value once. */
function valuesOf(exports: Exports): readonly unknown[] {
  return [...new Set([...Object.values(exports), ...Object.values(commonJsOf(exports) ?? {})])];
}

function defaultOf(exports: Exports): unknown {
  return (commonJsOf(exports) ?? exports).default;
}

/**
 * The exports of an ES module that was compiled to CommonJS (`exports.default = …`). Node exposes all of them together
 * as the default export.
 */
function commonJsOf({ default: exported }: Exports): Exports | undefined {
  const isCompiled = typeof exported === 'object' && exported !== null && '__esModule' in exported;
  return isCompiled ? (exported as Exports) : undefined;
}

function isQueue(value: unknown): value is Queue<never, unknown> {
  return (
    typeof value === 'object' && value !== null && 'spec' in value && 'encode' in value && 'decode' in value
  );
}

function isSchedule(value: unknown): value is Schedule {
  return has(value, 'timing') && has(value, 'catchUp') && has(value, 'message');
}

function isTopic(value: unknown): value is Topic {
  return has(value, 'events') && has(value, 'exchange') && has(value.exchange, 'spec');
}

function isExchange(value: unknown): value is Exchange {
  return has(value, 'spec') && has(value.spec, 'alternate') && has(value, 'name');
}

function isRoute(value: unknown): value is Route<unknown> {
  return has(value, 'route') && has(value, 'exchange') && has(value.exchange, 'alternate');
}

function has<Name extends string>(value: unknown, name: Name): value is { readonly [_ in Name]: unknown } {
  return typeof value === 'object' && value !== null && name in value;
}

/** Some schemas are functions. */
function isSchema(value: unknown): value is StandardSchemaV1 {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value
  );
}
