import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, inject } from 'vitest';

/** RabbitMQ's own users have passwords that are words; this one's is found wherever it should not be. */
const USER = 'millrace-ledger';
const PASSWORD = `secret-${randomUUID()}`;

/**
 * The address of a broker for a user whose password nobody would write by chance, so that the ledger can search for
 * it. Makes the user by the management API; without that, the address as it is.
 */
export async function secretUser(
  {
    amqpUrl,
    managementUrl,
  }: {
    readonly amqpUrl: string;
    readonly managementUrl: string | undefined;
  } = inject('broker'),
): Promise<string> {
  if (managementUrl === undefined) return amqpUrl;
  const management = new URL(managementUrl);
  const authorization = `Basic ${Buffer.from(`${management.username}:${management.password}`).toString('base64')}`;
  management.username = '';
  management.password = '';
  // Test files run side by side: each has a user of its own.
  const user = `${USER}-${PASSWORD.slice(-12)}`;
  const put = async (path: string, body: object) => {
    const response = await fetch(new URL(path, management), {
      method: 'PUT',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`PUT ${path} answered ${response.status}: ${await response.text()}`);
  };
  await put(`/api/users/${user}`, { password: PASSWORD, tags: '' });
  await put(`/api/permissions/%2F/${user}`, { configure: '.*', write: '.*', read: '.*' });
  const address = new URL(amqpUrl);
  address.username = user;
  address.password = PASSWORD;
  return address.href;
}

/** Fails where the password of an address shows. `guest` is not searched for: it is the name of the user, too. */
export function expectNoSecret(address: string | readonly string[], seen: readonly unknown[]): void {
  const secrets = [address]
    .flat()
    .filter((one) => URL.canParse(one))
    .map((one) => new URL(one).password)
    .filter((password) => password !== '' && password !== 'guest');
  const leaks = seen
    .map((one) => (typeof one === 'string' ? one : inspect(one, { depth: null })))
    .filter((text) => secrets.some((secret) => text.includes(secret)));
  expect(leaks).toEqual([]);
}
