import { parseAddress, type RabbitMqAddress } from '../address.js';
import { checkRabbitMqOptions, type RabbitMqOptions } from '../options.js';
import { Connection } from './connection.js';
import { MAX_REQUEST_CHANNELS } from './request-channels.js';
import type { ServerVersion } from './server-version.js';

/** The parts of an address, without its password. */
export interface AddressFacts {
  readonly address: string;
  readonly host: string;
  readonly user: string;
  readonly vhost: string;
  readonly tls: boolean;
}

/** The facts that a server reports at log-in. */
export interface ServerFacts {
  readonly version: ServerVersion;
  /** How long the log-in took. */
  readonly connectMs: number;
  /** Bytes; 0: no limit. */
  readonly frameMax: number;
  /** 0: no limit. */
  readonly channelMax: number;
  /** As negotiated; 0: no heartbeat. */
  readonly heartbeatSeconds: number;
}

/** Throws `INVALID_OPTION`. */
export function addressFacts(text: string): AddressFacts {
  const { masked, host, username, vhost, tls } = parseAddress(text);
  return { address: masked, host, user: username, vhost, tls };
}

/** Rejects as {@link withConnection} does. */
export async function serverFacts(text: string, options: RabbitMqOptions): Promise<ServerFacts> {
  const begin = performance.now();
  return withConnection(parseAddress(text), options, async ({ version, negotiated }) => ({
    version,
    connectMs: performance.now() - begin,
    ...negotiated,
  }));
}

/** Runs `ask` on a separate connection. Rejects: `UNREACHABLE`, `ACCESS_REFUSED`, `INVALID_OPTION`. */
export async function withConnection<T>(
  address: RabbitMqAddress,
  options: RabbitMqOptions,
  ask: (connection: Connection) => Promise<T>,
): Promise<T> {
  const settings = checkRabbitMqOptions(options);
  const connection = await Connection.open(
    address,
    settings,
    settings.connectionName,
    { onBlocked: () => {}, onUnblocked: () => {} },
    {
      signal: new AbortController().signal,
      timeoutMs: settings.connectTimeoutMs,
      maxRequestChannels: MAX_REQUEST_CHANNELS,
    },
  );
  try {
    return await ask(connection);
  } finally {
    await connection.close();
  }
}
