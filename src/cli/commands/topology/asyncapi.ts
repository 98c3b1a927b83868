/** A topology as an AsyncAPI 3.1 document (https://www.asyncapi.com/docs/reference/specification/v3.1.0). */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import type { ExchangeSpec, QueueSpec } from '../../../broker.js';
import type { EventSchema } from '../../../queue.js';
import type { Definition } from '../../import-module.js';

export interface DocumentOptions {
  readonly title: string;
  /** The version of the application, not of AsyncAPI. */
  readonly version: string;
  readonly vhost: string;
}

export interface AsyncApiDocument {
  readonly asyncapi: '3.1.0';
  readonly channels: Readonly<Record<string, object>>;
  readonly operations: Readonly<Record<string, object>>;
  readonly components: Readonly<Record<'messages' | 'schemas', Readonly<Record<string, object>>>>;
  readonly [field: string]: unknown;
}

/** `undescribed`: the messages whose schemas can't be written as JSON Schema. */
export function asyncApiOf(
  definitions: readonly Definition[],
  options: DocumentOptions,
): { readonly document: AsyncApiDocument; readonly undescribed: readonly string[] } {
  const writer = new DocumentWriter(options);
  // First, since subscriptions refer to their messages.
  for (const each of definitions) if (each.kind === 'topic') writer.addTopic(each.topic);
  for (const each of definitions) {
    if (each.kind === 'route') writer.addRoute(each.route);
    else if (each.kind === 'queue') writer.addQueue(each.queue);
  }
  return { document: writer.document, undescribed: writer.undescribed };
}

const BINDING_VERSION = '0.3.0';

type Topic = Extract<Definition, { kind: 'topic' }>['topic'];
type Route = Extract<Definition, { kind: 'route' }>['route'];
type Queue = Extract<Definition, { kind: 'queue' }>['queue'];

class DocumentWriter {
  readonly undescribed: string[] = [];
  readonly #options: DocumentOptions;
  readonly #channels: Record<string, object> = {};
  readonly #operations: Record<string, object> = {};
  readonly #messages: Record<string, object> = {};
  readonly #schemas: Record<string, object> = {};
  readonly #ids = new Map<string, string>();
  readonly #usedIds = new Set<string>();

  constructor(options: DocumentOptions) {
    this.#options = options;
  }

  get document(): AsyncApiDocument {
    const { title, version } = this.#options;
    return {
      asyncapi: '3.1.0',
      info: { title, version },
      defaultContentType: 'application/json',
      channels: this.#channels,
      operations: this.#operations,
      components: { messages: this.#messages, schemas: this.#schemas },
    };
  }

  /** A channel for each event: its address is the routing key. */
  addTopic({ name, exchange, events }: Topic): void {
    for (const [event, values] of Object.entries(events)) {
      this.#addMessage(this.#eventId(name, event), event, values, event);
      this.#addChannel(this.#eventId(name, event), event, [this.#eventId(name, event)], {
        bindings: this.#exchangeBinding(exchange.spec),
      });
      this.#addOperation('send', this.#eventId(name, event));
    }
  }

  addRoute(route: Route): void {
    const { exchange } = route;
    const id = this.#id(`route ${exchange.name}`, exchange.name);
    this.#addMessage(id, exchange.name, route);
    const isKeyed = exchange.type !== 'fanout' && exchange.type !== 'headers';
    this.#addChannel(id, isKeyed ? '{routingKey}' : null, [id], {
      ...(isKeyed && { parameters: { routingKey: { description: 'The routing key of the message.' } } }),
      bindings: this.#exchangeBinding(exchange),
    });
    this.#addOperation('send', id);
  }

  addQueue(queue: Queue): void {
    const { name, spec } = queue;
    const id = this.#id(`queue ${name}`, name);
    const channel = { bindings: this.#queueBinding(spec), ...extensionsOf(spec) };
    if (!('eventOf' in queue)) {
      this.#addMessage(id, name, queue);
      this.#addChannel(id, name, [id], channel);
      this.#addOperation('send', id);
      this.#addOperation('receive', id);
      return;
    }
    const topic = spec.bindings?.[0]?.exchange.name ?? name;
    const messages = queue.events.map((event: string) => {
      const message = this.#eventId(topic, event);
      const schemas = (queue.schemas ?? {}) as Readonly<Record<string, EventSchema>>;
      this.#addMessage(message, event, schemas[event] ?? {}, event);
      return message;
    });
    this.#addChannel(id, name, messages, channel);
    this.#addOperation('receive', id);
  }

  #addMessage(
    id: string,
    name: string,
    { schema, contentType }: Partial<EventSchema>,
    messageType?: string,
  ): void {
    if (Object.hasOwn(this.#messages, id)) return;
    const described = schema && jsonSchemaOf(schema);
    if (described === undefined) this.undescribed.push(name);
    else this.#schemas[id] = withRefsBelow(described, `#/components/schemas/${id}`) as object;
    this.#messages[id] = {
      name,
      title: name,
      ...(contentType !== undefined && { contentType }),
      ...(described !== undefined && { payload: { $ref: `#/components/schemas/${id}` } }),
      ...(messageType !== undefined && {
        bindings: { amqp: { messageType, bindingVersion: BINDING_VERSION } },
      }),
    };
  }

  #addChannel(id: string, address: string | null, messages: readonly string[], more: object): void {
    const refs = messages.map((message) => [message, { $ref: `#/components/messages/${message}` }]);
    // Braces would be parameters of the address; the binding has the name.
    const plain = 'parameters' in more || !/[{}]/.test(address ?? '') ? address : null;
    this.#channels[id] = { address: plain, messages: Object.fromEntries(refs), ...more };
  }

  #addOperation(action: 'send' | 'receive', channel: string): void {
    this.#operations[`${action}.${channel}`] = { action, channel: { $ref: `#/channels/${channel}` } };
  }

  #eventId(topic: string, event: string): string {
    return this.#id(`event ${topic} ${event}`, `${topic}.${event}`);
  }

  /** AsyncAPI limits the characters of ids, and two names must not become one id. */
  #id(key: string, name: string): string {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const plain = name.replaceAll(/[^\w.-]/gu, '_');
    let id = plain;
    for (let number = 2; this.#usedIds.has(id); number++) id = `${plain}-${number}`;
    this.#usedIds.add(id);
    this.#ids.set(key, id);
    return id;
  }

  #exchangeBinding({ name, type, durable }: ExchangeSpec): object {
    const exchange = { name, type, durable, autoDelete: false, vhost: this.#options.vhost };
    return { amqp: { is: 'routingKey', exchange, bindingVersion: BINDING_VERSION } };
  }

  #queueBinding({ name, durable, exclusive, autoDelete }: QueueSpec): object {
    const queue = { name, durable, exclusive, autoDelete, vhost: this.#options.vhost };
    return { amqp: { is: 'queue', queue, bindingVersion: BINDING_VERSION } };
  }
}

/** Properties without an AsyncAPI equivalent. */
function extensionsOf({ bindings = [], deadLetter }: QueueSpec): object {
  const bound = bindings.map(({ exchange, routingKey }) => ({ exchange: exchange.name, routingKey }));
  return {
    ...(bound.length > 0 && { 'x-bindings': bound }),
    ...(deadLetter !== false && { 'x-dead-letter-queue': deadLetter.queue }),
  };
}

/** The producers' type; undefined if the schema can't be written as JSON Schema. */
function jsonSchemaOf(schema: StandardSchemaV1): Record<string, unknown> | undefined {
  const { jsonSchema } = schema['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  if (jsonSchema === undefined) return undefined;
  // By default zod refuses types that JSON Schema lacks; this describes them as anything.
  for (const libraryOptions of [undefined, { unrepresentable: 'any' }]) {
    try {
      const { $schema: _, ...described } = jsonSchema.input({ target: 'draft-07', libraryOptions });
      return described;
    } catch {
      // The next try, or none.
    }
  }
  return undefined;
}

/** The same schema with its references to itself as seen from the document. */
function withRefsBelow(value: unknown, place: string): unknown {
  if (Array.isArray(value)) return value.map((each) => withRefsBelow(each, place));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => {
    const isOwn = key === '$ref' && typeof each === 'string' && each.startsWith('#');
    return [key, isOwn ? place + each.slice(1) : withRefsBelow(each, place)];
  });
  return Object.fromEntries(entries);
}
