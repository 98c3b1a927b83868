import type { BrokerEvent, QueueSpec } from '../../broker.js';
import { connect, type Target, targetOf } from '../../connect.js';
import { diagnoseQueues } from '../../diagnose.js';
import { type AddressFlags, type ChosenAddress, chooseAddress, embeddedAddress } from '../address.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import type { Output, OutputFlags } from '../output.js';
import { type Check, failure, warn } from './check.js';
import { definitions } from './definitions.js';
import { folderChecks } from './folder-checks.js';
import { compareThrough, queueChecks } from './queue-checks.js';
import { badAddress, rabbitMqChecks } from './rabbitmq-checks.js';
import { Report } from './report.js';
import { roundTrip } from './round-trip.js';

export interface DoctorFlags extends AddressFlags, OutputFlags {
  readonly connectTimeout: number;
}

/** Looks at the broker, and at the queues of `subject`, and changes nothing there. */
export async function doctor(
  subject: string | undefined,
  flags: DoctorFlags,
  output: Output,
): Promise<ExitCode> {
  const specs = subject === undefined ? [] : await definitions(subject);
  const chosen = chooseAddress(flags, process.env, embeddedAddress(process.env));
  const report = new Report(output);
  for await (const check of checks(chosen, specs, flags.connectTimeout)) await report.add(check);
  return report.end();
}

/** In this order, and no further than one has sense without the one before. */
async function* checks(
  chosen: ChosenAddress,
  specs: readonly QueueSpec[],
  connectTimeoutMs: number,
): AsyncGenerator<Check> {
  let target: Target;
  try {
    target = targetOf(chosen.address);
  } catch (error) {
    yield badAddress(chosen, error);
    return;
  }
  if (target.kind === 'rabbitmq') {
    const entry = yield* rabbitMqChecks(chosen, target.addresses, connectTimeoutMs);
    if (entry === undefined) return;
    yield* throughBroker(entry, [], connectTimeoutMs);
    yield* queueChecks(specs, (spec) => diagnoseQueues(entry, spec, { connectTimeoutMs }));
    return;
  }
  if (target.kind === 'memory') {
    yield warn(
      'address',
      `local:, from ${chosen.source}: queues in the memory of each process, which no other sees and which end with it`,
      "for 'send' and 'work' name a folder, as in local:./folder, or a RabbitMQ",
      { source: chosen.source },
    );
  } else if (!(yield* folderChecks(chosen, target.path))) return;
  yield* throughBroker(chosen.address, specs, connectTimeoutMs);
}

async function* throughBroker(
  address: string,
  specs: readonly QueueSpec[],
  connectTimeoutMs: number,
): AsyncGenerator<Check> {
  try {
    const blocked = new AbortController();
    const observe = (event: BrokerEvent) => {
      if (event.type === 'blocked') blocked.abort(blockedError(event.reason));
    };
    const broker = await connect(address, { connectTimeoutMs, observe });
    try {
      yield await roundTrip(broker, blocked.signal);
      yield* queueChecks(specs, compareThrough(broker));
    } finally {
      await broker.close();
    }
  } catch (error) {
    yield failure('round trip', error);
  }
}

function blockedError(reason: string): CommandError {
  return new CommandError(
    EXIT.temporary,
    `the broker takes no messages at present: ${reason}; sends wait until it has room again`,
  );
}
