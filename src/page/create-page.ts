import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import {
  booleanOption,
  checkOptionNames,
  checkQueueName,
  invalidOption,
  wordOption,
} from '../common/options.js';
import { QueueError } from '../errors.js';
import { Audit } from './actions/audit.js';
import { App } from './app.js';
import { Access, randomToken } from './http/access.js';
import type { MetricsSource, Page, PageOptions, PageRequest, PageResponse } from './page-types.js';

const NAMES = [
  'token',
  'path',
  'hosts',
  'queues',
  'schedules',
  'metrics',
  'history',
  'readOnly',
  'hideBodies',
  'user',
  'audit',
];
const MIN_TOKEN_LENGTH = 16;

/**
 * A page for operators of a broker: its queues and messages, failures and their reasons, and replay, drop, move, purge
 * and pause.
 *
 * ```ts
 * const page = createPage(broker);
 * createServer(page).listen(7070, '127.0.0.1');
 * console.log(`http://127.0.0.1:7070/?token=${page.token}`);
 * ```
 *
 * To mount it below a path of your server, use `app.use('/queues', page)` with Express, and the option `path` elsewhere.
 *
 * Throws `INVALID_OPTION`, and `UNSUPPORTED` for a backend without operator functions.
 */
export function createPage(broker: Broker, options: PageOptions = {}): Page {
  checkOptionNames('createPage', options, NAMES);
  const backend = backendOf(broker);
  const token = tokenOption(options.token);
  const app = new App({
    broker: backend,
    access: new Access(token, textsOption('hosts', options.hosts) ?? []),
    audit: new Audit(functionOption('audit', options.audit)),
    queues: queuesOption(options.queues),
    schedules: options.schedules ?? [],
    metrics: metricsOption(options.metrics),
    history: wordOption('history', options.history, ['watched', 'always'], 'watched'),
    readOnly: booleanOption('readOnly', options.readOnly, false),
    hideBodies: booleanOption('hideBodies', options.hideBodies, false),
    path: pathOption(options.path),
    user: functionOption('user', options.user) ?? addressOf,
  });
  const handle = (request: PageRequest, response: PageResponse): void => {
    void app.handle(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  };
  return Object.assign(handle, { token, close: () => app.close() });
}

function tokenOption(token: PageOptions['token']): string | undefined {
  if (token === false) return undefined;
  if (token === undefined) return randomToken();
  if (typeof token === 'string' && token.length >= MIN_TOKEN_LENGTH && /^[\w.~-]+$/.test(token)) return token;
  // The token itself is not quoted: it is a secret.
  throw invalidOption(
    'token',
    `at least ${MIN_TOKEN_LENGTH} letters, digits, '.', '~', '-' and '_', or false`,
    typeof token,
  );
}

function pathOption(path = ''): string {
  if (typeof path === 'string' && /^(\/[\w.~%-]+)*\/?$/.test(path)) return path.replace(/\/$/, '');
  throw invalidOption('path', "a path, such as '/queues'", path);
}

function queuesOption(queues: PageOptions['queues']): readonly string[] | undefined {
  const names = textsOption('queues', queues);
  for (const name of names ?? []) checkQueueName(name);
  return names === undefined ? undefined : [...new Set(names)];
}

function metricsOption(metrics: PageOptions['metrics'] = []): readonly MetricsSource[] {
  const isSource = (one: MetricsSource) =>
    typeof one === 'string' ? isHttpUrl(one) : typeof one?.text === 'function';
  if (Array.isArray(metrics) && metrics.every(isSource)) return [...new Set(metrics)];
  // Not quoted: a URL may have been refused for its password.
  throw new QueueError(
    'INVALID_OPTION',
    "metrics: expected a list of URLs without a password, such as 'http://127.0.0.1:9464/metrics'",
  );
}

/** Refuses passwords: the page shows the URL when it does not respond. */
function isHttpUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}

function textsOption(name: string, value: readonly string[] | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  throw invalidOption(name, 'a list of texts', value);
}

function functionOption<T>(name: string, value: T | undefined): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw invalidOption(name, 'a function', value);
}

function addressOf(request: PageRequest): string {
  return (request as unknown as IncomingMessage).socket?.remoteAddress ?? 'unknown';
}
