/** Converts an address, options and credentials to the arguments of amqplib's `connect`. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type ChannelModel, credentials, type SocketOptions } from 'amqplib';
import { MAX_DELAY_MS } from '../../common/options.js';
import { pause, RPC_LIMIT_MS, within } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqCredentials, RabbitMqSettings } from '../options.js';
import { replyText } from './broker-errors.js';

/** The part of the validity of credentials after which they are renewed. */
const RENEW_AFTER = 0.75;

const RENEW_AGAIN_MS = 5_000;

/** The shortest wait before a renewal: a token's server is not to be asked without a pause. */
const MIN_RENEW_MS = 50;

/** The credentials for the next connection. Rejects with the error of the application's function. */
export async function credentialsFor(
  address: RabbitMqAddress,
  settings: RabbitMqSettings,
  signal: AbortSignal,
): Promise<RabbitMqCredentials> {
  if (settings.credentials === undefined) return address;
  return within(askFor(settings.credentials), 'credentials()', { signal });
}

async function askFor(ask: NonNullable<RabbitMqSettings['credentials']>): Promise<RabbitMqCredentials> {
  const given = await ask();
  if (typeof given?.password === 'string') return given;
  throw new QueueError(
    'INVALID_OPTION',
    'credentials() must return an object with a password; what it returned is not shown here',
  );
}

/**
 * Renews the secret of an open connection before it expires (`connection.update-secret`,
 * https://www.rabbitmq.com/docs/oauth2), until the signal is aborted. Never rejects: if a secret can't be renewed, the
 * broker ends the connection, and the next one requests credentials anyway.
 */
export async function keepSecretValid(
  model: ChannelModel,
  settings: RabbitMqSettings,
  { validForMs }: RabbitMqCredentials,
  signal: AbortSignal,
): Promise<void> {
  let waitMs = renewAfterMs(validForMs);
  while (settings.credentials !== undefined && waitMs !== undefined) {
    await pause(waitMs, signal);
    if (signal.aborted) return;
    try {
      const renewed = await within(askFor(settings.credentials), 'credentials()', { signal });
      const updated = model.updateSecret(Buffer.from(renewed.password), 'renewed before its end');
      await within(updated, 'renewing the secret', { signal, timeoutMs: RPC_LIMIT_MS });
      waitMs = renewAfterMs(renewed.validForMs);
    } catch {
      waitMs = RENEW_AGAIN_MS;
    }
  }
}

/**
 * When to renew a secret. Undefined: never. One that is invalid already, or whose validity is no number, is renewed after a
 * pause, as one that could not be renewed.
 */
export function renewAfterMs(validForMs: number | undefined): number | undefined {
  if (validForMs === undefined || validForMs === Number.POSITIVE_INFINITY) return undefined;
  if (!(validForMs > 0)) return RENEW_AGAIN_MS;
  return Math.min(Math.max(validForMs * RENEW_AFTER, MIN_RENEW_MS), MAX_DELAY_MS);
}

/** The first argument of amqplib's `connect`. */
export function connectOptions(
  address: RabbitMqAddress,
  settings: RabbitMqSettings,
  { username = address.username, password }: RabbitMqCredentials,
) {
  const { host, port, channelMax, frameMax } = address;
  return {
    protocol: address.tls ? 'amqps' : 'amqp',
    hostname: host,
    port,
    username,
    password,
    vhost: vhostOption(address.vhost),
    heartbeat: address.heartbeatSeconds ?? settings.heartbeatSeconds,
    ...(channelMax === undefined ? {} : { channelMax }),
    ...(frameMax === undefined ? {} : { frameMax }),
  };
}

/**
 * amqplib decodes percent signs here, too, and takes an empty string for the virtual host `/`. A String object is not
 * taken for an empty string, but decodes to one.
 */
function vhostOption(vhost: string): string {
  return vhost === '' ? (Object('') as string) : encodeURIComponent(vhost);
}

/** The second argument of amqplib's `connect`: options for the socket, TLS and the log-in mechanism. */
export function socketOptions(
  address: RabbitMqAddress,
  settings: RabbitMqSettings,
  name: string,
  signal: AbortSignal,
): SocketOptions & { readonly signal: AbortSignal } {
  const options = {
    signal,
    noDelay: true,
    keepAlive: true,
    // The process and its machine are for operators; see `Operator.consumers`.
    clientProperties: { connection_name: name, pid: process.pid, host: hostname() },
    // The broker reads the user name from the client's certificate.
    ...(address.authMechanism === 'external' ? { credentials: credentials.external() } : {}),
  };
  return address.tls ? { ...options, ...tlsOf(address, settings) } : options;
}

/** The address's own, else the options. */
export function tlsOf(address: RabbitMqAddress, { tls }: Pick<RabbitMqSettings, 'tls'>): object {
  const given = {
    ...tls,
    ca: pemFile(address, 'cacertfile', address.caFile) ?? tls.ca,
    cert: pemFile(address, 'certfile', address.certFile) ?? tls.cert,
    key: pemFile(address, 'keyfile', address.keyFile) ?? tls.key,
    rejectUnauthorized: address.verifyPeer ?? tls.rejectUnauthorized,
    servername: address.servername ?? tls.servername,
  };
  // Node distinguishes an undefined option from a missing one.
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Read again for each connection, so that renewed certificates are used. */
function pemFile(address: RabbitMqAddress, parameter: string, file: string | undefined): Buffer | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new QueueError(
      'INVALID_OPTION',
      `the ${parameter} of ${address.masked} can't be read: ${replyText(error)}`,
      {
        cause: error,
      },
    );
  }
}
