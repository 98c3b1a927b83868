/** Compares bindings with those that RabbitMQ's management API lists. */
import type { QueueSpec } from '../../../broker.js';
import { type Check, fail, ok, warn } from '../../doctor/check.js';
import { CommandError, EXIT } from '../../exit-code.js';

export interface Management {
  /** With user and password. */
  readonly url: string;
  readonly vhost: string;
  readonly timeoutMs: number;
}

interface ListedBinding {
  readonly source: string;
  readonly routing_key: string;
}

export async function* bindingChecks(
  queues: readonly QueueSpec[],
  management: Management,
): AsyncGenerator<Check> {
  for (const spec of queues) {
    const listed = await listBindings(spec.name, management);
    // A queue that does not exist is reported elsewhere.
    if (listed !== undefined) yield bindingCheck(spec, listed);
  }
}

function bindingCheck({ name, bindings = [] }: QueueSpec, listed: readonly ListedBinding[]): Check {
  const wanted = new Set(bindings.map(({ exchange, routingKey }) => label(exchange.name, routingKey)));
  // Every queue is bound to the default exchange.
  const found = new Set(
    listed.filter(({ source }) => source !== '').map((each) => label(each.source, each.routing_key)),
  );
  const missing = [...wanted].filter((each) => !found.has(each));
  const leftOver = [...found].filter((each) => !wanted.has(each));
  const facts = { queue: name, missing, leftOver };
  if (missing.length > 0) {
    const text = `'${name}' lacks ${missing.join(', ')}`;
    return fail('bindings', text, EXIT.failed, 'millrace topology apply adds what is missing', facts);
  }
  if (leftOver.length > 0) {
    const text = `'${name}' has ${leftOver.join(', ')}, which its definition does not name`;
    return warn('bindings', text, "name it in 'unbind', and run millrace topology apply", facts);
  }
  return ok('bindings', `'${name}' has ${wanted.size === 0 ? 'none' : [...wanted].join(', ')}`, facts);
}

function label(exchange: string, routingKey: string): string {
  return `'${exchange}' ${JSON.stringify(routingKey)}`;
}

/** Undefined if the queue does not exist. */
async function listBindings(
  queue: string,
  { url, vhost, timeoutMs }: Management,
): Promise<readonly ListedBinding[] | undefined> {
  const path = `api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}/bindings`;
  try {
    const base = new URL(url.endsWith('/') ? url : `${url}/`);
    const credentials = `${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`;
    base.username = '';
    base.password = '';
    const response = await fetch(new URL(path, base), {
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 404) return undefined;
    if (response.status === 401) {
      throw new CommandError(EXIT.accessRefused, '--management-url: the user or the password is refused');
    }
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return (await response.json()) as ListedBinding[];
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { message, cause } = error as Error;
    const reason = cause instanceof Error ? cause.message : message;
    throw new CommandError(
      EXIT.unreachable,
      `--management-url: the management API can't be used: ${reason}`,
      {
        cause: error,
      },
    );
  }
}
