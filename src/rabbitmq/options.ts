import { basename } from 'node:path';
import type { BrokerEvent } from '../broker.js';
import {
  booleanOption,
  checkOptionNames,
  DEFAULT_MAX_MESSAGE_BYTES,
  durationOption,
  integerOption,
  invalidOption,
  observerOption,
} from '../common/options.js';
import { QueueError } from '../errors.js';

/** What `connect` takes for RabbitMQ. All have defaults. */
export interface RabbitMqOptions {
  /**
   * How long `connect` looks for a broker, over all addresses together, and how long each later attempt may take; of a
   * folder, how long it may take to open. A broker that is not up yet, or has no name yet, is tried again until then; a
   * refusal, or another server at the address, ends it at once. `reconnect` applies to these attempts, too.
   * Milliseconds. Default: 10 000. `connection_timeout` in an address limits each attempt at that address.
   */
  readonly connectTimeoutMs?: number | undefined;
  /** The name of the connections on RabbitMQ's management page. Default: `millrace <program> <pid>`. */
  readonly connectionName?: string | undefined;
  /** For `amqps:`. Parameters of an address take precedence. */
  readonly tls?: RabbitMqTlsOptions | undefined;
  /**
   * A connection that is silent for two to three times this long counts as lost. AMQP has whole seconds: it is rounded up
   * to them. 0 turns that off. Milliseconds. Default: 20 000. `heartbeat` in a URL, in seconds, takes precedence.
   */
  readonly heartbeatMs?: number | undefined;
  /** How lost connections are opened again. Each has a default. */
  readonly reconnect?: RabbitMqReconnectOptions | undefined;
  /**
   * How many messages may be on their way without the broker's confirmation; further ones wait. Default: 1000.
   * Besides, no more than 64 MiB of them are on their way at once.
   */
  readonly maxUnconfirmed?: number | undefined;
  /** Larger bodies are refused. Bytes. Default: 1 MiB. RabbitMQ's own limit is 16 MiB since 4.0. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * Called for each connection, also to reconnect, in place of the user and the password of the address: for tokens and
   * passwords that change. With `validForMs` the secret of an open connection is renewed before that time is over. What
   * it throws counts as a connection that failed.
   */
  readonly credentials?: (() => RabbitMqCredentials | Promise<RabbitMqCredentials>) | undefined;
  /**
   * Where RabbitMQ's management API is: `http://localhost:15672`. Without a user in it, the user and the password of the
   * AMQP address are used. Needed only to list what AMQP can't list, such as the bindings of a queue. Default: none.
   */
  readonly managementUrl?: string | undefined;
  /** Called with what happens to the connections. What it throws, or rejects with, is ignored. */
  readonly observe?: ((event: BrokerEvent) => void) | undefined;
  /**
   * Whether internals of amqplib may be used, where its version was tested with them: faster, and a subscription with
   * `unref` lets the process end. `false` leaves everything to amqplib's public API, should the two not agree. The
   * environment variable `MILLRACE_AMQPLIB_INTERNALS=off` does the same for a whole process. Default: true.
   */
  readonly amqplibInternals?: boolean | undefined;
}

/** What {@link RabbitMqOptions.credentials} returns. */
export interface RabbitMqCredentials {
  /** Default: that of the address. */
  readonly username?: string | undefined;
  /** Or a token. */
  readonly password: string;
  /** Milliseconds from now. Default: without end. */
  readonly validForMs?: number | undefined;
}

/** As in Node's `tls.connect`. */
export interface RabbitMqTlsOptions {
  /** The certificates to trust, in PEM, in place of those that Node.js knows. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The client's certificate, in PEM. */
  readonly cert?: string | Uint8Array | undefined;
  /** The client's private key, in PEM. */
  readonly key?: string | Uint8Array | undefined;
  /** The client's certificate and key, in PKCS #12. */
  readonly pfx?: string | Uint8Array | undefined;
  /** For `key` or `pfx`. */
  readonly passphrase?: string | undefined;
  /** The name that the server's certificate must have. Default: the host of the URL. */
  readonly servername?: string | undefined;
  /** Default: true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** As `'TLSv1.3'`. Default: Node's. */
  readonly minVersion?: 'TLSv1.3' | 'TLSv1.2' | 'TLSv1.1' | 'TLSv1' | undefined;
  /** Default: Node's. */
  readonly ciphers?: string | undefined;
}

/** Waits grow exponentially from `initialDelayMs` to `maxDelayMs`; each is drawn at random from 0 to that. */
export interface RabbitMqReconnectOptions {
  /** Milliseconds. Default: 100. */
  readonly initialDelayMs?: number | undefined;
  /** Milliseconds. Default: 30 000. */
  readonly maxDelayMs?: number | undefined;
  /** Tries in a row before the broker is given up, which closes it. Default: `Infinity`. */
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
  readonly managementUrl: URL | undefined;
}

/** Throws `INVALID_OPTION`. */
export function checkRabbitMqOptions(options: RabbitMqOptions): RabbitMqSettings {
  checkOptionNames('connect', options, RABBITMQ_OPTION_NAMES);
  const { connectionName, tls, reconnect } = options;
  if (connectionName !== undefined && typeof connectionName !== 'string') {
    throw invalidOption('connectionName', 'a string', connectionName);
  }
  const managementUrl =
    options.managementUrl === undefined ? undefined : toManagementUrl(options.managementUrl);
  checkOptionNames('tls', tls, TLS_OPTION_NAMES);
  if (options.credentials !== undefined && typeof options.credentials !== 'function') {
    // Not quoted: it may hold a password.
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

/** Not quoted in the error: it may hold a password. */
function toManagementUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new QueueError(
    'INVALID_OPTION',
    'managementUrl: expected the http: or https: address of the management API, such as http://localhost:15672',
  );
}
