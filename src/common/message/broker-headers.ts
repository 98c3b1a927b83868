/** Headers by which RabbitMQ routes a message, or records its deliveries and moves between queues. */
import type { MessageHeaders } from '../../broker.js';
import { isTable } from './headers.js';

/** Headers that RabbitMQ added to the message, and those by which it would route a message to further queues. */
export const BROKER_HEADERS = /^(x-(death|(first|last)-death-.*|delivery-count|acquired-count)|B?CC)$/;

/** The record of its moves to dead-letter queues (https://www.rabbitmq.com/docs/dlx). */
export const DEATH_HEADERS = /^x-(death|(first|last)-death-.*)$/;

/** An entry of `x-death`. Any client may have written it. */
type Death = Readonly<Record<string, unknown>>;

/** The latest move that `x-death` records; undefined if it is missing or unreadable. */
export function latestDeath(headers: MessageHeaders): Death | undefined {
  return deathAt(headers, 0);
}

/** The first move that `x-death` records; undefined if it is missing or unreadable. */
export function firstDeath(headers: MessageHeaders): Death | undefined {
  return deathAt(headers, -1);
}

/** The deaths are ordered, the latest first. */
function deathAt(headers: MessageHeaders, index: number): Death | undefined {
  const deaths: unknown = Object.hasOwn(headers, 'x-death') ? headers['x-death'] : undefined;
  const death: unknown = Array.isArray(deaths) ? deaths.at(index) : undefined;
  return isTable(death) ? death : undefined;
}
