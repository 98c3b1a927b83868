/** `millrace topology check` */
import type { Command } from 'commander';
import type { Backend } from '../../../broker.js';
import { backendOf } from '../../../common/backend-of.js';
import { type BrokerTarget, connect, targetOf } from '../../../connect.js';
import { diagnoseQueues, diagnoseServer, folderHasStore } from '../../../diagnose.js';
import { type ChosenAddress, chooseAddress } from '../../address.js';
import { ADDRESS_HELP, addHelp, addressFlags, type CommonFlags, type Execute } from '../../common-options.js';
import { type Check, fail } from '../../doctor/check.js';
import { bindingChecks, boundedChecks, exchangeCheck } from '../../doctor/exchange-checks.js';
import { leftOverChecks } from '../../doctor/left-over-checks.js';
import {
  type Compare,
  compareInFolder,
  compareWithNothing,
  factsOf,
  type Missing,
  queueChecks,
} from '../../doctor/queue-checks.js';
import { Report } from '../../doctor/report.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import { importTopology, type TopologyModule } from '../../import-module.js';
import { openBroker, refusedAddress, refuseMemory } from '../../open-broker.js';
import { type ManagementFlags, managementOption } from '../../option-values.js';
import type { Output } from '../../output.js';

interface CheckFlags extends CommonFlags, ManagementFlags {}

const NOTES = `
Prints one line per exchange, queue and dead-letter queue: ok, warn or fail, and what to do. Declares nothing. Reports bindings that are missing or left over, on RabbitMQ only with --management-url, since AMQP can't list bindings.

Exit codes: 0 no failures (there may be warnings); 1 something differs from its definition; 4 something is missing; 69 broker unreachable; 77 access denied.`;

export function addCheckCommand(topology: Command, execute: Execute): void {
  const command = topology
    .command('check')
    .description('Compares the queues, exchanges and bindings of a module with those on the broker.')
    .argument('<module>', 'the module that defines the topology')
    .addOption(managementOption())
    .action((module: string, flags: CheckFlags) => execute(flags, (output) => check(module, flags, output)));
  addHelp(command, NOTES, ADDRESS_HELP);
}

async function check(module: string, flags: CheckFlags, output: Output): Promise<ExitCode> {
  const topology = await importTopology(module);
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'topology check');
  const report = new Report(output);
  for await (const each of checks(topology, chosen, flags, output)) await report.add(each);
  return report.end();
}

async function* checks(
  topology: TopologyModule,
  chosen: ChosenAddress,
  flags: CheckFlags,
  output: Output,
): AsyncGenerator<Check> {
  const { queues, exchanges } = topology;
  const target = targetOrRefusal(chosen);
  const hintFlags = addressFlags(flags);
  if (target.kind === 'folder' && !(await folderHasStore(target.path))) {
    // Opening it would create it. Features that no local broker has are refused by an empty one, too.
    const empty = backendOf(await connect('local:'));
    for (const exchange of exchanges) yield await exchangeCheck(empty, exchange, missing);
    await empty.close();
    yield* queueChecks(queues, compareWithNothing, hintFlags, missing);
    return;
  }
  const { connectTimeout, managementUrl } = flags;
  const broker = backendOf(
    await openBroker(chosen, output, { connectTimeout, managementUrl, observe: () => {} }),
  );
  try {
    for (const exchange of exchanges) yield await exchangeCheck(broker, exchange, missing);
    yield* queueChecks(queues, await comparison(broker, target, connectTimeout), hintFlags, missing);
    for (const queue of queues) yield* boundedChecks(queue, target.kind !== 'rabbitmq');
    yield* bindingChecks(broker, queues);
    yield* leftOverChecks(broker, topology);
  } finally {
    await broker.close();
  }
}

function targetOrRefusal(chosen: ChosenAddress): BrokerTarget {
  try {
    return targetOf(chosen.address);
  } catch (error) {
    throw refusedAddress(chosen, error);
  }
}

async function comparison(broker: Backend, target: BrokerTarget, connectTimeoutMs: number): Promise<Compare> {
  if (target.kind === 'memory') return compareWithNothing;
  if (target.kind === 'folder') return compareInFolder(broker, target.path);
  const address = await reachable(target.addresses, connectTimeoutMs);
  return (spec) => diagnoseQueues(address, spec, { connectTimeoutMs });
}

function missing(kind: Missing, name: string): Check {
  return fail(
    kind,
    `'${name}' does not exist`,
    EXIT.empty,
    'millrace topology apply creates it',
    factsOf(kind, name),
  );
}

/** The first address that accepts a connection. */
async function reachable(addresses: readonly string[], connectTimeoutMs: number): Promise<string> {
  let lastError: unknown;
  for (const address of addresses) {
    try {
      await diagnoseServer(address, { connectTimeoutMs });
      return address;
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}
