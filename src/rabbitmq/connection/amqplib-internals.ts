/**
 * Everything that millrace uses of amqplib beyond its public API. amqplib allocates many objects for each message that
 * it publishes or reads, and it hides its socket and timers, which would keep the process alive. Each connection is
 * checked for the names and types below, and amqplib for its version. If anything is not as tested, or if the
 * application asks for it, amqplib does all the work: that is slower, and a subscription with `unref` then keeps the
 * process alive.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Duplex } from 'node:stream';
import type { Channel, Connection } from 'amqplib';
import type { ReadInternals } from '../wire/delivery-reader.js';
import type { PublishInternals } from '../wire/publish-channel.js';

/** The versions that the tests run with. In any other one the same names may have other meanings. */
const TESTED_VERSIONS: readonly string[] = ['2.3.1'];

/** The limits that client and broker negotiated at log-in. 0 stands for no limit, or no heartbeat. */
export interface Negotiated {
  /** Bytes. */
  readonly frameMax: number;
  readonly channelMax: number;
  readonly heartbeatSeconds: number;
}

/** The internals of one connection that may be used. */
export class AmqplibInternals {
  readonly #connection: object;
  readonly #mayUse: boolean;

  constructor(connection: Connection, isAllowed: boolean) {
    this.#connection = connection;
    this.#mayUse = isAllowed && TESTED_VERSIONS.includes(amqplibVersion());
  }

  /** Reading these numbers is safe even if no other internals may be used. */
  get negotiated(): Negotiated {
    return {
      frameMax: numberIn(this.#connection, 'frameMax'),
      channelMax: numberIn(this.#connection, 'channelMax'),
      heartbeatSeconds: numberIn(this.#connection, 'heartbeat'),
    };
  }

  /** The internals that a `DeliveryReader` needs; undefined if it may not be used. */
  get reading(): ReadInternals | undefined {
    return this.#mayUse && canRead(this.#connection) ? this.#connection : undefined;
  }

  /** The internals that a `PublishChannel` needs; undefined if it may not be used. */
  publishingOn(channel: Channel): PublishInternals | undefined {
    return this.#mayUse && canPublish(channel) ? channel : undefined;
  }

  /** Stops the socket and the timers of the connection from keeping the process alive. */
  unref(): void {
    if (!this.#mayUse) return;
    const { stream, heartbeater } = this.#connection as {
      stream?: { unref?(): void };
      heartbeater?: { sendTimer?: NodeJS.Timeout; recvTimer?: NodeJS.Timeout };
    };
    stream?.unref?.();
    heartbeater?.sendTimer?.unref();
    heartbeater?.recvTimer?.unref();
  }
}

let version: string | undefined;

/** `''` if it is unknown, as in a bundle. */
function amqplibVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  try {
    const main = createRequire(import.meta.url).resolve('amqplib');
    const description: unknown = JSON.parse(readFileSync(join(dirname(main), 'package.json'), 'utf8'));
    return isObject(description) && 'version' in description ? String(description.version) : '';
  } catch {
    return '';
  }
}

function canRead(connection: object): connection is ReadInternals {
  return (
    'rest' in connection &&
    Buffer.isBuffer(connection.rest) &&
    'recvFrame' in connection &&
    typeof connection.recvFrame === 'function'
  );
}

function canPublish(channel: object): channel is PublishInternals {
  if (!('ch' in channel && typeof channel.ch === 'number')) return false;
  if (!('pushConfirmCallback' in channel && typeof channel.pushConfirmCallback === 'function')) return false;
  if (!('connection' in channel && isObject(channel.connection))) return false;
  const { connection } = channel;
  if (!('frameMax' in connection && Number.isInteger(connection.frameMax))) return false;
  if (!('sentSinceLastCheck' in connection && typeof connection.sentSinceLastCheck === 'boolean'))
    return false;
  if (!('stream' in connection && connection.stream instanceof Duplex)) return false;
  if (!('channels' in connection && Array.isArray(connection.channels))) return false;
  const entry: unknown = connection.channels[channel.ch];
  return isObject(entry) && 'channel' in entry && 'buffer' in entry && entry.buffer instanceof Duplex;
}

function numberIn(connection: object, name: string): number {
  const value: unknown = (connection as Record<string, unknown>)[name];
  return typeof value === 'number' ? value : 0;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
