/** Checks an `amqp:` address and the server behind it. */
import { errorText } from '../../common/options.js';
import { type AddressFacts, diagnoseAddress, diagnoseServer, type ServerFacts } from '../../diagnose.js';
import { badAddressExitCode, type ChosenAddress } from '../address.js';
import { EXIT, exitCodeOf } from '../exit-code.js';
import { type Check, fail, ok, warn } from './check.js';

/** RabbitMQ's default for the largest message (`max_message_size`). */
const MESSAGE_LIMITS = { since40: '16 MiB', before: '128 MiB' };

/** Returns the first address that accepts a connection; undefined if none does. */
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
      yield ok('connection', `connected to ${facts.address} in ${Math.ceil(server.connectMs)} ms`, {
        connectMs: server.connectMs,
      });
      yield versionCheck(server);
      yield limitsCheck(server);
    } catch (error) {
      unreachable.push(fail('connection', errorText(error), exitCodeOf(error), adviceFor(error)));
    }
  }
  // As long as one address works, the failure of another is only a warning.
  for (const check of unreachable) {
    yield entry === undefined ? check : warn(check.name, check.text, 'the other addresses are tried in turn');
  }
  return entry;
}

export function badAddress(chosen: ChosenAddress, error: unknown): Check {
  return fail('address', `${chosen.source}: ${errorText(error)}`, badAddressExitCode(chosen));
}

function* securityChecks({ host, user, tls }: AddressFacts): Generator<Check> {
  if (isLoopback(host)) return;
  if (user === 'guest') {
    yield warn(
      'user',
      `guest logs in to ${host} over the network; by default RabbitMQ allows guest on loopback only`,
      'create a user with its own password, and delete guest',
    );
  }
  if (!tls) {
    yield warn(
      'tls',
      `the password and all messages are sent to ${host} unencrypted`,
      'use amqps://, unless the network is private',
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
      `RabbitMQ ${text}: quorum queues have ${version.quorumPriorities} priorities and 'delayedRetry', and do not count returned messages; queues must be durable or exclusive`,
      facts,
    );
  }
  const priorities = version.quorumPriorities === 2 ? 'two priorities' : 'no priorities';
  return warn(
    'version',
    `RabbitMQ ${text}: quorum queues have ${priorities} and count returned messages towards their delivery limit; retries use wait queues`,
    'RabbitMQ 4.3 lifts these limits',
    facts,
  );
}

function limitsCheck({ version, frameMax, channelMax, heartbeatSeconds }: ServerFacts): Check {
  const limit = version.limitsDeliveries ? MESSAGE_LIMITS.since40 : MESSAGE_LIMITS.before;
  const text = [
    `messages of up to 1 MiB in millrace ('maxMessageBytes') and ${limit} on the server ('max_message_size')`,
    `${channelMax === 0 ? 'any number of' : channelMax} channels`,
    `frames of ${frameMax === 0 ? 'any length' : `up to ${frameMax} bytes`}`,
  ].join(', ');
  const facts = { frameMax, channelMax, heartbeatSeconds };
  if (heartbeatSeconds > 0) return ok('limits', `${text}, a heartbeat every ${heartbeatSeconds} s`, facts);
  return warn(
    'limits',
    `${text}, no heartbeat: a dead connection may go unnoticed`,
    'remove heartbeat=0 from the address',
    facts,
  );
}

function adviceFor(error: unknown): string | undefined {
  if (exitCodeOf(error) !== EXIT.unreachable) return undefined;
  return 'check that it is running, and that host and port are correct';
}
