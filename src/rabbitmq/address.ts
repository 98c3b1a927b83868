/**
 * AMQP addresses by RabbitMQ's URI specification (https://www.rabbitmq.com/docs/uri-spec) and its query
 * parameters (https://www.rabbitmq.com/docs/uri-query-parameters). amqplib's own reading of a URI takes
 * `amqp://host/` for the virtual host `/` and knows none of these parameter names, so it is handed parts only.
 */
import { QueueError } from '../errors.js';

/** One broker, as given by an address. Undefined properties are not in the address. */
export interface RabbitMqAddress {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly heartbeatSeconds: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly channelMax: number | undefined;
  readonly frameMax: number | undefined;
  /** Files in PEM format. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly verifyPeer: boolean | undefined;
  readonly servername: string | undefined;
  /** `external`: the client's certificate identifies it, and no password is sent. */
  readonly authMechanism: 'plain' | 'external';
  /** The address without its password, for errors, events and logs. */
  readonly masked: string;
}

const DEFAULT_PORT = 5672;
const DEFAULT_TLS_PORT = 5671;
const DEFAULT_HOST = 'localhost';
const DEFAULT_USER = 'guest';
const DEFAULT_PASSWORD = 'guest';
const DEFAULT_VHOST = '/';

/** RabbitMQ 4.1 and later refuse clients with smaller frames. */
const MIN_FRAME_MAX = 8192;

const PATTERN =
  /^(?<scheme>amqps?):\/\/(?:(?<userinfo>[^/?#]*)@)?(?<host>\[[^\]]*\]|[^:/?#@[\]]*)(?::(?<port>\d*))?(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/i;

/** Throws `INVALID_OPTION`, which quotes the address without its password. */
export function parseAddress(text: string): RabbitMqAddress {
  const invalid = (why: string) =>
    new QueueError('INVALID_OPTION', `the address '${maskAddress(text)}' is unusable: ${why}`);
  const decode = (part: string, encoded: string) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      throw invalid(`the ${part} has a '%' that is not followed by two hexadecimal digits of UTF-8`);
    }
  };

  const parts = PATTERN.exec(text)?.groups;
  // An '@' after the host: the apparent port, virtual host and query may be part of a password, and must not be quoted.
  if (parts === undefined || parts.path?.includes('@') || parts.query?.includes('@')) {
    throw invalid(
      "expected amqp://user:password@host:port/vhost, with ':', '@', '/', '?' and '#' in names and passwords percent-encoded",
    );
  }
  const tls = parts.scheme?.toLowerCase() === 'amqps';
  const { username, password } = credentials(parts.userinfo, decode);
  return {
    tls,
    host: hostOf(parts.host ?? '', decode),
    port: portOf(parts.port, tls, invalid),
    username,
    password,
    vhost: vhostOf(parts.path, decode, invalid),
    ...queryOf(parts.query ?? '', decode, invalid),
    masked: maskAddress(text),
  };
}

/**
 * The address with `***` instead of its password. Accepts any text, even invalid addresses, and hides too much rather
 * than too little: everything up to the last `@` may belong to a password that was not percent-encoded.
 */
export function maskAddress(address: string): string {
  const scheme = /^[^:/?#]*:\/\//.exec(address)?.[0] ?? '';
  return scheme + address.slice(scheme.length).replace(/^([^:@/]*):.*@/s, '$1:***@');
}

type Decode = (part: string, encoded: string) => string;
type Invalid = (why: string) => QueueError;

function credentials(userinfo: string | undefined, decode: Decode): { username: string; password: string } {
  if (userinfo === undefined) return { username: DEFAULT_USER, password: DEFAULT_PASSWORD };
  const colon = userinfo.indexOf(':');
  if (colon === -1) return { username: decode('user name', userinfo), password: DEFAULT_PASSWORD };
  return {
    username: decode('user name', userinfo.slice(0, colon)),
    password: decode('password', userinfo.slice(colon + 1)),
  };
}

function hostOf(host: string, decode: Decode): string {
  if (host.startsWith('[')) return host.slice(1, -1);
  return host === '' ? DEFAULT_HOST : decode('host', host);
}

function portOf(port: string | undefined, tls: boolean, invalid: Invalid): number {
  if (port === undefined || port === '') return tls ? DEFAULT_TLS_PORT : DEFAULT_PORT;
  const number = Number(port);
  if (number >= 1 && number <= 65_535) return number;
  throw invalid(`the port ${port} is not between 1 and 65535`);
}

/** No path at all is the default virtual host; a bare slash is the virtual host whose name is empty. */
function vhostOf(path: string | undefined, decode: Decode, invalid: Invalid): string {
  if (path === undefined) return DEFAULT_VHOST;
  const name = path.slice(1);
  if (name.includes('/')) throw invalid("a '/' in the name of a virtual host is written %2f");
  return decode('virtual host', name);
}

type Query = Omit<RabbitMqAddress, 'tls' | 'host' | 'port' | 'username' | 'password' | 'vhost' | 'masked'>;

const PARAMETERS = [
  'heartbeat',
  'connection_timeout',
  'channel_max',
  'frame_max',
  'cacertfile',
  'certfile',
  'keyfile',
  'verify',
  'server_name_indication',
  'auth_mechanism',
] as const;

function queryOf(query: string, decode: Decode, invalid: Invalid): Query {
  const given = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode('query', equals === -1 ? pair : pair.slice(0, equals));
    if (!PARAMETERS.some((parameter) => parameter === name)) {
      throw invalid(`there is no parameter '${name}'; the parameters are ${PARAMETERS.join(', ')}`);
    }
    given.set(name, equals === -1 ? '' : decode(name, pair.slice(equals + 1)));
  }
  const integer = (name: (typeof PARAMETERS)[number], min: number, max: number) => {
    const value = given.get(name);
    if (value === undefined) return undefined;
    const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw invalid(`${name} must be an integer from ${min} to ${max}, not '${value}'`);
  };

  const frameMax = integer('frame_max', 0, 2 ** 31 - 1);
  if (frameMax !== undefined && frameMax !== 0 && frameMax < MIN_FRAME_MAX) {
    throw invalid(`frame_max must be 0 (no limit) or at least ${MIN_FRAME_MAX}, not ${frameMax}`);
  }
  const verify = given.get('verify');
  if (verify !== undefined && verify !== 'verify_peer' && verify !== 'verify_none') {
    throw invalid(`verify must be verify_peer or verify_none, not '${verify}'`);
  }
  const authMechanism = given.get('auth_mechanism')?.toLowerCase() ?? 'plain';
  if (authMechanism !== 'plain' && authMechanism !== 'external') {
    throw invalid(`auth_mechanism must be plain or external, not '${authMechanism}'`);
  }
  return {
    heartbeatSeconds: integer('heartbeat', 0, 65_535),
    connectTimeoutMs: integer('connection_timeout', 1, 2 ** 31 - 1),
    channelMax: integer('channel_max', 0, 65_535),
    frameMax,
    caFile: given.get('cacertfile'),
    certFile: given.get('certfile'),
    keyFile: given.get('keyfile'),
    verifyPeer: verify === undefined ? undefined : verify === 'verify_peer',
    servername: given.get('server_name_indication'),
    authMechanism,
  };
}
