/** The topology of an application as RabbitMQ's definitions, which `rabbitmqctl import_definitions` reads. */
import type { ExchangeSpec, QueueSpec } from '../../broker.js';
import { serverVersion } from '../connection/server-version.js';
import { deadLetterQueueDeclaration, type QueueDeclaration, queueDeclaration } from './queue-arguments.js';

/** https://www.rabbitmq.com/docs/definitions */
export interface Definitions {
  readonly vhosts: readonly { readonly name: string }[];
  readonly exchanges: readonly object[];
  readonly queues: readonly object[];
  readonly bindings: readonly object[];
}

/** `version`: that of the server, such as `4.3`. */
export function definitionsOf(
  queues: readonly QueueSpec[],
  exchanges: readonly ExchangeSpec[],
  vhost: string,
  version: string,
): Definitions {
  const server = serverVersion(version);
  const declarations = new Map<string, QueueDeclaration>();
  // The queues come last: a queue may be the dead-letter queue of another one, with its own properties.
  for (const { deadLetter } of queues) {
    if (deadLetter === false) continue;
    const { queue, capacity } = deadLetter;
    declarations.set(queue, deadLetterQueueDeclaration(queue, capacity, server));
  }
  for (const spec of queues) declarations.set(spec.name, queueDeclaration(spec, server));
  return {
    vhosts: [{ name: vhost }],
    exchanges: exchanges
      .filter(({ declare }) => declare !== 'existing')
      .map(({ name, type, durable, alternate }) => ({
        name,
        vhost,
        type,
        durable,
        auto_delete: false,
        internal: false,
        arguments: alternate === undefined ? {} : { 'alternate-exchange': alternate },
      })),
    queues: [...declarations.values()].map(({ name, options }) => ({
      name,
      vhost,
      durable: options.durable ?? true,
      auto_delete: options.autoDelete ?? false,
      arguments: options.arguments,
    })),
    bindings: queues.flatMap(({ name, bindings = [] }) =>
      bindings.map(({ exchange, routingKey, arguments: given }) => ({
        source: exchange.name,
        vhost,
        destination: name,
        destination_type: 'queue',
        routing_key: routingKey,
        arguments: given,
      })),
    ),
  };
}
