import { basename } from 'node:path';
import type { BrokerEvent } from '../broker.js';
import { DEFAULT_MAX_MESSAGE_BYTES } from '../common/message/create-and-check.js';
import {
  booleanOption,
  checkOptionNames,
  durationOption,
  integerOption,
  invalidOption,
  observerOption,
} from '../common/options.js';
import { QueueError } from '../errors.js';

/** The options of `connect` for RabbitMQ. All have defaults. */
export interface RabbitMqOptions {
  /**
   * How long `connect` tries to reach a broker, for all addresses together, and how long each later attempt may take; for a
   * folder, how long opening it may take. A broker that is not up, or whose name does not resolve yet, is tried again until
   * then; a refusal, or another server at the address, ends the attempts at once. `reconnect` applies to them, too.
   * Milliseconds. Default: 10,000. `connection_timeout` in an address limits each attempt at that address.
   */
  readonly connectTimeoutMs?: number | undefined;
  /** The name of the connections on RabbitMQ's management page. Default: `millrace <program> <pid>`. */
  readonly connectionName?: string | undefined;
  /** For `amqps:`. Parameters of an address take precedence. */
  readonly tls?: RabbitMqTlsOptions | undefined;
  /**
   * A connection that is silent for two to three times this long counts as lost. Milliseconds, rounded up to whole seconds,
   * as AMQP requires. 0: no heartbeats. Default: 20,000. `heartbeat` in a URL, in seconds, takes precedence.
   */
  readonly heartbeatMs?: number | undefined;
  /** How lost connections are reopened. Each has a default. */
  readonly reconnect?: RabbitMqReconnectOptions | undefined;
  /**
   * How many messages may be unconfirmed; further ones wait. Default: 1000. In addition, their bodies have at most 64 MiB in
   * total.
   */
  readonly maxUnconfirmed?: number | undefined;
  /** Larger bodies are refused. Bytes. Default: 1 MiB. RabbitMQ's own limit is 16 MiB since 4.0. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * Called for each connection, including reconnects, instead of using the user and the password of the address: for tokens
   * and passwords that change. With `validForMs` the secret of an open connection is renewed before that time is over. An
   * error counts as a failed connection.
   */
  readonly credentials?: (() => RabbitMqCredentials | Promise<RabbitMqCredentials>) | undefined;
  /**
   * The URL of RabbitMQ's management API: `http://localhost:15672`. Without a user in it, the user and the password of
   * the AMQP address are used. Needed only for data that AMQP does not report: the bindings of a queue, and most
   * figures of `operatorOf(broker)`. False: it is not used. Default: for `operatorOf`, port 15672 of the connected
   * broker's host, with `amqps:` port 15671 over TLS; for the rest, none. `tls` applies to an `https:` address, too.
   */
  readonly managementUrl?: string | false | undefined;
  /** Called with the events of the broker. Its errors are ignored. */
  readonly observe?: ((event: BrokerEvent) => void) | undefined;
  /**
   * Whether to use internals of amqplib, if its version was tested with them: this is faster, and lets a process with
   * unreferenced subscriptions exit. `false` uses amqplib's public API only, in case of problems. The environment variable
   * `MILLRACE_AMQPLIB_INTERNALS=off` does the same for a whole process. Default: true.
   */
  readonly amqplibInternals?: boolean | undefined;
}

/** The result of {@link RabbitMqOptions.credentials}. */
export interface RabbitMqCredentials {
  /** Default: that of the address. */
  readonly username?: string | undefined;
  /** A password or a token. */
  readonly password: string;
  /** How long the password is valid. Milliseconds. Default: unlimited. */
  readonly validForMs?: number | undefined;
}

/** As in Node's `tls.connect`. */
export interface RabbitMqTlsOptions {
  /** The certificates to trust, in PEM, instead of those of Node.js. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The client's certificate, in PEM. */
  readonly cert?: string | Uint8Array | undefined;
  /** The client's private key, in PEM. */
  readonly key?: string | Uint8Array | undefined;
  /** The client's certificate and key, in PKCS #12. */
  readonly pfx?: string | Uint8Array | undefined;
  /** For `key` or `pfx`. */
  readonly passphrase?: string | undefined;
  /** The name that the server's certificate must contain. Default: the host of the URL. */
  readonly servername?: string | undefined;
  /** Default: true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** For example `'TLSv1.3'`. Default: Node's. */
  readonly minVersion?: 'TLSv1.3' | 'TLSv1.2' | 'TLSv1.1' | 'TLSv1' | undefined;
  /** Default: Node's. */
  readonly ciphers?: string | undefined;
}

/** Exponential back-off with full jitter: each wait is random, from 0 to a bound that grows up to `maxDelayMs`. */
export interface RabbitMqReconnectOptions {
  /** Milliseconds. Default: 100. */
  readonly initialDelayMs?: number | undefined;
  /** Milliseconds. Default: 30,000. */
  readonly maxDelayMs?: number | undefined;
  /** After this many failed attempts in a row the broker is closed. Default: `Infinity`. */
  readonly maxAttempts?: number | undefined;
}

export const RABBITMQ_OPTION_NAMES = [
  'connectTimeoutMs',
  'connectionName',
  'tls',
  'heartbeatMs',
  'reconnect',
  'maxUnconfirmed',
  'maxMessageBytes',
  'observe',
  'credentials',
  'amqplibInternals',
  'managementUrl',
] as const satisfies readonly (keyof RabbitMqOptions)[];

const TLS_OPTION_NAMES = [
  'ca',
  'cert',
  'key',
  'pfx',
  'passphrase',
  'servername',
  'rejectUnauthorized',
  'minVersion',
  'ciphers',
] as const satisfies readonly (keyof RabbitMqTlsOptions)[];

/** The options, checked, with their defaults. */
export interface RabbitMqSettings {
  readonly connectTimeoutMs: number;
  readonly connectionName: string;
  readonly tls: RabbitMqTlsOptions;
  readonly heartbeatSeconds: number;
  readonly reconnect: {
    readonly initialDelayMs: number;
    readonly maxDelayMs: number;
    readonly maxAttempts: number;
  };
  readonly maxUnconfirmed: number;
  readonly maxMessageBytes: number;
  /** Never throws. */
  readonly observe: (event: BrokerEvent) => void;
  readonly credentials: RabbitMqOptions['credentials'];
  readonly amqplibInternals: boolean;
  readonly managementUrl: URL | false | undefined;
}

/** Throws `INVALID_OPTION`. */
export function checkRabbitMqOptions(options: RabbitMqOptions): RabbitMqSettings {
  checkOptionNames('connect', options, RABBITMQ_OPTION_NAMES);
  const { connectionName, tls, reconnect } = options;
  if (connectionName !== undefined && typeof connectionName !== 'string') {
    throw invalidOption('connectionName', 'a string', connectionName);
  }
  const managementUrl = toManagementUrl(options.managementUrl);
  checkOptionNames('tls', tls, TLS_OPTION_NAMES);
  if (options.credentials !== undefined && typeof options.credentials !== 'function') {
    // Not quoted, since it may contain a password.
    throw new QueueError('INVALID_OPTION', 'credentials: expected a function');
  }
  booleanOption('tls.rejectUnauthorized', tls?.rejectUnauthorized, true);
  checkOptionNames('reconnect', reconnect, ['initialDelayMs', 'maxDelayMs', 'maxAttempts']);
  const initialDelayMs = durationOption('reconnect.initialDelayMs', reconnect?.initialDelayMs, {
    min: 1,
    default: 100,
  });
  return {
    connectTimeoutMs: durationOption('connectTimeoutMs', options.connectTimeoutMs, {
      min: 1,
      default: 10_000,
    }),
    connectionName: connectionName ?? `millrace ${basename(process.argv[1] ?? 'node')} ${process.pid}`,
    tls: { ...tls },
    heartbeatSeconds: Math.ceil(
      integerOption('heartbeatMs', options.heartbeatMs, { min: 0, max: 65_535_000, default: 20_000 }) / 1000,
    ),
    reconnect: {
      initialDelayMs,
      maxDelayMs: durationOption('reconnect.maxDelayMs', reconnect?.maxDelayMs, {
        min: initialDelayMs,
        default: Math.max(30_000, initialDelayMs),
      }),
      maxAttempts: integerOption('reconnect.maxAttempts', reconnect?.maxAttempts, {
        min: 0,
        infinity: true,
        default: Number.POSITIVE_INFINITY,
      }),
    },
    maxUnconfirmed: integerOption('maxUnconfirmed', options.maxUnconfirmed, {
      min: 1,
      max: 65_535,
      default: 1000,
    }),
    maxMessageBytes: integerOption('maxMessageBytes', options.maxMessageBytes, {
      min: 1,
      default: DEFAULT_MAX_MESSAGE_BYTES,
    }),
    observe: observerOption(options.observe) ?? (() => {}),
    credentials: options.credentials,
    managementUrl,
    amqplibInternals:
      booleanOption('amqplibInternals', options.amqplibInternals, true) &&
      process.env.MILLRACE_AMQPLIB_INTERNALS !== 'off',
  };
}

/** The error does not quote the value, since it may contain a password. */
function toManagementUrl(text: string | false | undefined): URL | false | undefined {
  if (text === undefined || text === false) return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new QueueError(
    'INVALID_OPTION',
    'managementUrl: expected the http: or https: address of the management API, such as http://localhost:15672',
  );
}
