/** `millrace doctor` */

import type { Command } from 'commander';
import type { Backend, BrokerEvent } from '../../broker.js';
import { backendOf } from '../../common/backend-of.js';
import { type BrokerTarget, connect, targetOf } from '../../connect.js';
import { diagnoseQueues } from '../../diagnose.js';
import { type ChosenAddress, chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, addressFlags, type CommonFlags, type Execute } from '../common-options.js';
import { type Check, failure, warn } from '../doctor/check.js';
import { bindingChecks, boundedChecks, exchangeCheck } from '../doctor/exchange-checks.js';
import { folderChecks } from '../doctor/folder-checks.js';
import { leftOverChecks } from '../doctor/left-over-checks.js';
import { type Compare, compareInFolder, compareWithNothing, queueChecks } from '../doctor/queue-checks.js';
import { badAddress, rabbitMqChecks } from '../doctor/rabbitmq-checks.js';
import { Report } from '../doctor/report.js';
import { roundTrip } from '../doctor/round-trip.js';
import { waitQueueChecks } from '../doctor/wait-queue-checks.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { importTopology, type TopologyModule } from '../import-module.js';
import { type ManagementFlags, managementOption } from '../option-values.js';
import type { Output } from '../output.js';
import { sendingQueue } from '../text-queue.js';

interface DoctorFlags extends CommonFlags, ManagementFlags {
  readonly fix?: boolean;
}

const EXAMPLES = `
Examples:
  $ millrace doctor                      check the default broker
  $ millrace doctor -u amqp://localhost
  $ millrace doctor ./queues.js          check the queues that it exports, too`;

const NOTES = `
Prints one line per check: ok, warn or fail, and what to do. Creates no queue except a temporary one. Reports bindings that are missing or left over, on RabbitMQ only with --management-url, since AMQP can't list bindings. It also reports unused wait queues there; --fix removes them.

Exit codes: 0 no failures (there may be warnings); 1 something differs from its definition; 4 something is missing that no definition creates; 69 broker unreachable; 75 no answer in time; 77 access denied; 78 configuration error, or a folder that can't be used.`;

export function addDoctorCommand(program: Command, execute: Execute): void {
  const command = program
    .command('doctor')
    .description('Checks that the broker is usable and that queues match their definitions.')
    .argument(
      '[queue]',
      "a queue's name, or a module (./queues.js) that exports queues, subscriptions, topics or exchanges",
    )
    .addOption(managementOption())
    .option('--fix', 'remove wait queues of RabbitMQ that are empty and that no consumer can use')
    .action((subject: string | undefined, flags: DoctorFlags) =>
      execute(flags, (output) => doctor(subject, flags, output)),
    );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

/** Checks the broker and the definitions of `subject`. Without `--fix` it changes nothing. */
async function doctor(subject: string | undefined, flags: DoctorFlags, output: Output): Promise<ExitCode> {
  const topology = subject === undefined ? NOTHING : await topologyOf(subject);
  const chosen = chooseAddress(flags);
  const report = new Report(output);
  for await (const check of checks({ chosen, flags, topology })) await report.add(check);
  return report.end();
}

const NOTHING: TopologyModule = { queues: [], exchanges: [], definitions: [] };

/** A subject that ends like this is a module. */
const MODULE = /\.[cm]?[jt]s$/;

/** The exports of a module, or the queue of this name as `send` and `work` declare it. */
async function topologyOf(subject: string): Promise<TopologyModule> {
  return MODULE.test(subject)
    ? importTopology(subject)
    : { ...NOTHING, queues: [sendingQueue(subject).spec] };
}

/** The subject and the options of a check. */
interface Subject {
  readonly chosen: ChosenAddress;
  readonly flags: DoctorFlags;
  readonly topology: TopologyModule;
}

/** Runs the checks in order. A check that depends on a failed one is left out. */
async function* checks({ chosen, flags, topology }: Subject): AsyncGenerator<Check> {
  const { connectTimeout: connectTimeoutMs } = flags;
  let target: BrokerTarget;
  try {
    target = targetOf(chosen.address);
  } catch (error) {
    yield badAddress(chosen, error);
    return;
  }
  const about = { topology, flags, isLocal: target.kind !== 'rabbitmq' };
  if (target.kind === 'rabbitmq') {
    const entry = yield* rabbitMqChecks(chosen, target.addresses, connectTimeoutMs);
    if (entry === undefined) return;
    const compare: Compare = (spec) => diagnoseQueues(entry, spec, { connectTimeoutMs });
    yield* throughBroker(entry, () => compare, about);
    return;
  }
  if (target.kind === 'memory') {
    yield warn(
      'address',
      `local:, from ${chosen.source}: queues in memory, which no other process can see and which end with their process`,
      "for 'send' and 'work' use a folder, such as local:./folder, or RabbitMQ",
      { source: chosen.source },
    );
    yield* throughBroker(chosen.address, () => compareWithNothing, about);
    return;
  }
  const { path } = target;
  if (yield* folderChecks(chosen, path))
    yield* throughBroker(chosen.address, (broker) => compareInFolder(broker, path), about);
}

async function* throughBroker(
  address: string,
  comparison: (broker: Backend) => Compare,
  { topology, flags, isLocal }: Omit<Subject, 'chosen'> & { readonly isLocal: boolean },
): AsyncGenerator<Check> {
  const { queues, exchanges } = topology;
  try {
    const blocked = new AbortController();
    const observe = (event: BrokerEvent) => {
      if (event.type === 'blocked') blocked.abort(blockedError(event.reason));
    };
    const { connectTimeout: connectTimeoutMs, managementUrl } = flags;
    const broker = backendOf(await connect(address, { connectTimeoutMs, managementUrl, observe }));
    try {
      yield await roundTrip(broker, blocked.signal);
      for (const exchange of exchanges) yield await exchangeCheck(broker, exchange);
      yield* queueChecks(queues, comparison(broker), addressFlags(flags));
      for (const queue of queues) yield* boundedChecks(queue, isLocal);
      yield* bindingChecks(broker, queues);
      yield* leftOverChecks(broker, topology);
      const fix = flags.fix === true;
      if (!isLocal || fix)
        yield* waitQueueChecks(broker, { fix, isAsked: fix || managementUrl !== undefined });
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
    `the broker has blocked publishers: ${reason}; sends wait until it unblocks them`,
  );
}
