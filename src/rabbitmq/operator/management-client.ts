import type { WaitOptions } from '../../broker.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import { credentialsFor, tlsOf } from '../connection/log-in.js';
import type { RabbitMqSettings } from '../options.js';
import type { ServerStatistics } from './listed-queue.js';
import { getJson, type ManagementAccess } from './management-api.js';

/** For one response of a given address, or of the usual port, where there may be no server. */
const LIMIT_MS = { given: 30_000, usual: 5_000 };

/** How long the usual port is not tried again after no response. */
const ASK_AGAIN_MS = 10_000;

/** Finds the management API of a broker, at the address that was given or at the usual port of the broker's host, and logs in. */
export class ManagementClient {
  readonly #address: () => RabbitMqAddress;
  readonly #settings: RabbitMqSettings;
  #refusal: { readonly error: QueueError; readonly until: number } | undefined;
  #statistics: { readonly base: string; readonly value: ServerStatistics } | undefined;

  /** `address`: of the currently connected broker. */
  constructor(address: () => RabbitMqAddress, settings: RabbitMqSettings) {
    this.#address = address;
    this.#settings = settings;
  }

  get vhost(): string {
    return this.#address().vhost;
  }

  /** Whether an address of the API was given. */
  get isGiven(): boolean {
    return Boolean(this.#settings.managementUrl);
  }

  /** Runs requests. After the usual port was of no use, it rejects at once for a while. */
  async ask<T>(wait: WaitOptions, ask: (access: ManagementAccess) => Promise<T>): Promise<T> {
    const refusal = this.#refusal;
    if (refusal !== undefined && performance.now() < refusal.until) throw refusal.error;
    try {
      return await ask(await this.access(wait));
    } catch (error) {
      if (isQueueError(error, 'UNSUPPORTED') && wait.signal?.aborted !== true) {
        this.#refusal = { error, until: performance.now() + ASK_AGAIN_MS };
      }
      throw error;
    }
  }

  /** Asked once: the configuration changes with a restart of the server only. */
  async statistics(access: ManagementAccess, wait: WaitOptions): Promise<ServerStatistics> {
    const base = access.base.href;
    if (this.#statistics?.base !== base) {
      const overview = await getJson(access, 'overview?columns=rates_mode,disable_stats', wait.signal);
      const { rates_mode: mode, disable_stats: disabled } = (overview ?? {}) as Record<string, unknown>;
      const collected = disabled !== true;
      this.#statistics = { base, value: { collected, rates: collected && mode !== 'none' } };
    }
    return this.#statistics.value;
  }

  async access({ signal = new AbortController().signal }: WaitOptions): Promise<ManagementAccess> {
    const { managementUrl } = this.#settings;
    const address = this.#address();
    if (managementUrl === false) {
      throw new QueueError(
        'UNSUPPORTED',
        'listing queues requires the management API of RabbitMQ, which managementUrl: false disables',
      );
    }
    const tls = tlsOf(address, this.#settings);
    const isGiven = managementUrl !== undefined;
    const base = isGiven ? new URL(managementUrl.pathname, managementUrl.origin) : usualAddress(address);
    const timeoutMs = isGiven ? LIMIT_MS.given : LIMIT_MS.usual;
    if (managementUrl?.username) {
      const [username, password] = [decoded(managementUrl.username), decoded(managementUrl.password)];
      return { base, username, password, tls, timeoutMs, isGiven };
    }
    if (address.authMechanism === 'external') {
      throw new QueueError(
        'UNSUPPORTED',
        'the management API needs a user and a password, but the connection logs in by certificate: give them in managementUrl',
      );
    }
    const { username = address.username, password } = await credentialsFor(address, this.#settings, signal);
    return { base, username, password, tls, timeoutMs, isGiven };
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A password that is encrypted on its way to the broker is not sent to the API in the clear. */
function usualAddress({ tls, host }: RabbitMqAddress): URL {
  const name = host.includes(':') ? `[${host}]` : host;
  return new URL(tls ? `https://${name}:15671/` : `http://${name}:15672/`);
}
