/** Converts the management API's list into the consumers that an operator sees. */
import type { ConsumerFigure, ConsumerList, QueueConsumer } from '../../broker.js';
import { byName } from '../../common/operator/operator-requests.js';
import { numberOf } from './listed-queue.js';

/** A consumer as it is listed; any of it may be missing. */
export interface ListedConsumer {
  readonly queue?: { readonly name?: unknown; readonly vhost?: unknown };
  readonly channel_details?: {
    readonly name?: unknown;
    readonly connection_name?: unknown;
    readonly peer_host?: unknown;
  };
  readonly arguments?: unknown;
}

/** The consumers of a list. */
export function listOf(answer: unknown): readonly ListedConsumer[] {
  return Array.isArray(answer) ? answer : [];
}

/** The consumers in the description of a queue. */
export function consumersIn(answer: unknown): readonly ListedConsumer[] {
  return listOf((answer as { readonly consumer_details?: unknown } | undefined)?.consumer_details);
}

export interface ListedChannel {
  readonly name?: unknown;
  readonly messages_unacknowledged?: unknown;
}

export interface ListedConnection {
  readonly name?: unknown;
  readonly user_provided_name?: unknown;
  readonly connected_at?: unknown;
  readonly client_properties?: Readonly<Record<string, unknown>>;
}

export const CHANNEL_COLUMNS = 'name,messages_unacknowledged';
export const CONNECTION_COLUMNS = 'name,user_provided_name,connected_at,client_properties';

/** A consumer whose channel or connection is not among those listed has figures that are unknown. */
export function consumersOf(
  listed: readonly ListedConsumer[],
  channels: readonly ListedChannel[],
  connections: readonly ListedConnection[],
  limit: number,
): ConsumerList {
  const unsettledOf = new Map(channels.map((channel) => [channel.name, channel.messages_unacknowledged]));
  const connectionOf = new Map(connections.map((connection) => [connection.name, connection]));
  // The unsettled messages of a channel can't be attributed to consumers; each consumer here has its own channel.
  const sharing = new Map<unknown, number>();
  for (const { channel_details: channel } of listed)
    sharing.set(channel?.name, (sharing.get(channel?.name) ?? 0) + 1);
  const consumers = listed.map(({ queue, channel_details }): QueueConsumer => {
    const channel = channel_details ?? {};
    const connection = connectionOf.get(channel.connection_name);
    const { pid, host } = connection?.client_properties ?? {};
    return {
      queue: textOf(queue?.name) ?? '',
      pid: numberOf(pid),
      host: textOf(host) ?? textOf(channel.peer_host),
      connection: textOf(connection?.user_provided_name) ?? textOf(channel.connection_name),
      subscriptions: 1,
      since: numberOf(connection?.connected_at),
      unsettled: sharing.get(channel.name) === 1 ? numberOf(unsettledOf.get(channel.name)) : undefined,
      settledAt: undefined,
    };
  });
  consumers.sort((a, b) => byName({ name: a.queue }, { name: b.queue }) || (a.since ?? 0) - (b.since ?? 0));
  return { consumers: consumers.slice(0, limit), total: consumers.length, unknown: unknownOf(consumers) };
}

function unknownOf(consumers: readonly QueueConsumer[]): ConsumerList['unknown'] {
  const reasons: Readonly<Record<Exclude<ConsumerFigure, 'settledAt'>, string>> = {
    pid: 'only programs that use millrace report their process to the broker',
    host: 'the management API does not list the connection yet',
    since: 'the management API does not list the connection yet, or this user may not see it',
    unsettled: 'the management API counts them per channel, and has no figures for this channel yet',
  };
  const unknown: Partial<Record<ConsumerFigure, string>> = {
    settledAt: 'RabbitMQ does not report when a consumer settled a message',
  };
  for (const [figure, reason] of Object.entries(reasons) as [keyof typeof reasons, string][])
    if (consumers.some((consumer) => consumer[figure] === undefined)) unknown[figure] = reason;
  return unknown;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
