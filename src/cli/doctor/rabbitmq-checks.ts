/** What an address and the server behind it mean for those who send and work through it. */
import { type AddressFacts, diagnoseAddress, diagnoseServer, type ServerFacts } from '../../diagnose.js';
import { badAddressExitCode, type ChosenAddress } from '../address.js';
import { EXIT, exitCodeOf } from '../exit-code.js';
import { type Check, fail, ok, warn } from './check.js';

/** RabbitMQ's own limit of a message unless it is configured (`max_message_size`). */
const MESSAGE_LIMITS = { since40: '16 MiB', before: '128 MiB' };

/** Gives the first of the addresses that let us in; undefined: there is none. */
export async function* rabbitMqChecks(
  chosen: ChosenAddress,
  addresses: readonly string[],
  connectTimeoutMs: number,
): AsyncGenerator<Check, string | undefined> {
  let entry: string | undefined;
  const unreachable: Check[] = [];
  for (const address of addresses) {
    let facts: AddressFacts;
    try {
      facts = await diagnoseAddress(address);
    } catch (error) {
      yield badAddress(chosen, error);
      return undefined;
    }
    yield ok('address', `${facts.address}, from ${chosen.source}`, { ...facts, source: chosen.source });
    yield* securityChecks(facts);
    try {
      const server = await diagnoseServer(address, { connectTimeoutMs });
      entry ??= address;
      yield ok('connection', `${facts.address} let us in within ${Math.ceil(server.connectMs)} ms`, {
        connectMs: server.connectMs,
      });
      yield versionCheck(server);
      yield limitsCheck(server);
    } catch (error) {
      unreachable.push(fail('connection', messageOf(error), exitCodeOf(error), adviceFor(error)));
    }
  }
  // Where another address lets us in, a dead one is for the operator, and nothing fails.
  for (const check of unreachable) {
    yield entry === undefined ? check : warn(check.name, check.text, 'the other addresses are tried in turn');
  }
  return entry;
}

export function badAddress(chosen: ChosenAddress, error: unknown): Check {
  return fail('address', `${chosen.source}: ${messageOf(error)}`, badAddressExitCode(chosen));
}

function* securityChecks({ host, user, tls }: AddressFacts): Generator<Check> {
  if (isLoopback(host)) return;
  if (user === 'guest') {
    yield warn(
      'user',
      `guest comes over the network to ${host}, which RabbitMQ permits over loopback only, unless it is told otherwise`,
      'make a user of your own with a password of its own, and delete guest',
    );
  }
  if (!tls) {
    yield warn(
      'tls',
      `the password and all messages go to ${host} in clear text`,
      'use amqps://, unless the network is one that nobody else is in',
    );
  }
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1)$/i.test(host);
}

function versionCheck({ version }: ServerFacts): Check {
  const { text, ...means } = version;
  const facts = { version: text, ...means };
  if (version.countsFailuresOnly) {
    return ok(
      'version',
      `RabbitMQ ${text}: quorum queues have ${version.quorumPriorities} priorities, delay retries themselves where 'delayedRetry' says so, and take back what is released at no cost; a queue is durable or exclusive`,
      facts,
    );
  }
  const priorities = version.quorumPriorities === 2 ? 'two priorities' : 'no priorities';
  return warn(
    'version',
    `RabbitMQ ${text}: quorum queues have ${priorities}, count what is released for their delivery limit, and retries take wait queues`,
    'RabbitMQ 4.3 does better',
    facts,
  );
}

function limitsCheck({ version, frameMax, channelMax, heartbeatSeconds }: ServerFacts): Check {
  const limit = version.limitsDeliveries ? MESSAGE_LIMITS.since40 : MESSAGE_LIMITS.before;
  const text = [
    `messages up to 1 MiB here (unless 'maxMessageBytes' says more) and ${limit} there (unless 'max_message_size' does)`,
    `${channelMax === 0 ? 'any number of' : channelMax} channels`,
    `frames of ${frameMax === 0 ? 'any length' : `${frameMax} bytes`}`,
  ].join(', ');
  const facts = { frameMax, channelMax, heartbeatSeconds };
  if (heartbeatSeconds > 0) return ok('limits', `${text}, a heartbeat of ${heartbeatSeconds} s`, facts);
  return warn(
    'limits',
    `${text}, no heartbeat: a link that is silently dead is not noticed`,
    'leave heartbeat=0 out of the address',
    facts,
  );
}

function adviceFor(error: unknown): string | undefined {
  if (exitCodeOf(error) !== EXIT.unreachable) return undefined;
  return 'look whether it runs, and whether host and port are right';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
