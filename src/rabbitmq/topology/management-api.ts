import type { ListedBinding, WaitOptions } from '../../broker.js';
import { RPC_LIMIT_MS, within } from '../../common/limits.js';
import { quote } from '../../common/options.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';

/**
 * The bindings of a queue, without the one to the default exchange; undefined if no management API is known. Of a queue
 * that does not exist RabbitMQ lists none.
 */
export async function listBindings(
  queue: string,
  address: RabbitMqAddress,
  settings: Pick<RabbitMqSettings, 'managementUrl' | 'credentials'>,
  wait: WaitOptions,
): Promise<readonly ListedBinding[] | undefined> {
  if (settings.managementUrl === undefined) return undefined;
  const { username = address.username, password } = (await settings.credentials?.()) ?? address;
  const api = new ManagementApi(settings.managementUrl, { username, password });
  const path = `api/queues/${encodeURIComponent(address.vhost)}/${encodeURIComponent(queue)}/bindings`;
  const answer = await api.get(path, `listing the bindings of '${queue}'`, wait);
  if (answer === undefined) throw new QueueError('QUEUE_MISSING', `there is no queue ${quote(queue)}`);
  if (!Array.isArray(answer) || !answer.every(isListed)) throw api.unusable('its answer lists no bindings');
  return answer
    .filter(({ source }) => source !== '')
    .map(({ source, routing_key, arguments: given }) => ({
      exchange: source,
      routingKey: routing_key,
      arguments: given ?? {},
    }));
}

interface User {
  readonly username: string;
  readonly password: string;
}

/** RabbitMQ's HTTP API, for what AMQP can't tell (https://www.rabbitmq.com/docs/http-api-reference). */
class ManagementApi {
  readonly #base: URL;
  readonly #user: User;

  /** A user in the URL takes precedence. */
  constructor(url: URL, user: User) {
    this.#base = new URL(url.href.endsWith('/') ? url : `${url}/`);
    this.#user =
      url.username === '' ? user : { username: decoded(url.username), password: decoded(url.password) };
    // `fetch` refuses a URL with credentials.
    this.#base.username = '';
    this.#base.password = '';
  }

  /** Undefined: there is no such thing. Rejects: `ACCESS_REFUSED`, `UNREACHABLE`, `TIMEOUT`, `ABORTED`. */
  async get(path: string, what: string, wait: WaitOptions): Promise<unknown> {
    const { username, password } = this.#user;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const ended = new AbortController();
    const asking = this.#answer(new URL(path, this.#base), authorization, ended.signal);
    try {
      return await within(asking, what, { ...wait, timeoutMs: wait.timeoutMs ?? RPC_LIMIT_MS });
    } finally {
      ended.abort();
    }
  }

  async #answer(url: URL, authorization: string, signal: AbortSignal): Promise<unknown> {
    try {
      const response = await fetch(url, { headers: { authorization }, signal });
      if (response.status === 404) return undefined;
      if (response.status === 401 || response.status === 403) {
        const why = `refuses the user '${this.#user.username}', which needs the tag 'management'`;
        throw new QueueError('ACCESS_REFUSED', `the management API at ${this.#base.host} ${why}`);
      }
      if (!response.ok) throw this.unusable(`it answered ${response.status}`);
      return await response.json();
    } catch (error) {
      if (isQueueError(error)) throw error;
      const { message, cause } = error as Error;
      throw this.unusable(cause instanceof Error ? cause.message || String(cause) : message, error);
    }
  }

  unusable(why: string, cause?: unknown): QueueError {
    return new QueueError('UNREACHABLE', `the management API at ${this.#base.host} can't be used: ${why}`, {
      cause,
    });
  }
}

interface Listed {
  readonly source: string;
  readonly routing_key: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

function isListed(value: unknown): value is Listed {
  if (typeof value !== 'object' || value === null) return false;
  const { source, routing_key } = value as Partial<Listed>;
  return typeof source === 'string' && typeof routing_key === 'string';
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
