/** `millrace topology check` */
import type { Command } from 'commander';
import type { Backend, ExchangeSpec } from '../../../broker.js';
import { backendOf } from '../../../common/options.js';
import { targetOf } from '../../../connect.js';
import { diagnoseAddress, diagnoseQueues, diagnoseServer } from '../../../diagnose.js';
import { isQueueError } from '../../../errors.js';
import { type ChosenAddress, chooseAddress } from '../../address.js';
import { ADDRESS_HELP, addHelp, addressFlags, type CommonFlags, type Execute } from '../../common-options.js';
import { type Check, fail, failure, ok } from '../../doctor/check.js';
import { compareThrough, queueChecks } from '../../doctor/queue-checks.js';
import { Report } from '../../doctor/report.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import { importTopology, type TopologyModule } from '../../import-module.js';
import { openBroker, refuseMemory } from '../../open-broker.js';
import type { Output } from '../../output.js';
import { bindingChecks, type Management } from './binding-checks.js';

interface CheckFlags extends CommonFlags {
  readonly managementUrl?: string;
}

const NOTES = `
Prints one line per exchange, queue and dead-letter queue: ok, warn or fail, and what to do. Declares nothing. AMQP can't list bindings: RabbitMQ's are checked if --management-url is given, such as http://user:password@localhost:15672. Then bindings that are missing or left over are reported, too.

Exit codes: 0 no failures (there may be warnings); 1 something differs from its definition; 4 something is missing; 69 broker unreachable; 77 access denied.`;

export function addCheckCommand(topology: Command, execute: Execute): void {
  const command = topology
    .command('check')
    .description('Compares the queues, exchanges and bindings of a module with those on the broker.')
    .argument('<module>', 'the module that defines the topology')
    .option('--management-url <url>', "the address of RabbitMQ's management API")
    .action((module: string, flags: CheckFlags) => execute(flags, (output) => check(module, flags, output)));
  addHelp(command, NOTES, ADDRESS_HELP);
}

async function check(module: string, flags: CheckFlags, output: Output): Promise<ExitCode> {
  const topology = await importTopology(module);
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'topology check');
  const broker = backendOf(
    await openBroker(chosen, output, { connectTimeout: flags.connectTimeout, observe: () => {} }),
  );
  const report = new Report(output);
  try {
    for await (const each of checks(broker, topology, chosen, flags)) await report.add(each);
  } finally {
    await broker.close();
  }
  return report.end();
}

async function* checks(
  broker: Backend,
  { queues, exchanges }: TopologyModule,
  chosen: ChosenAddress,
  flags: CheckFlags,
): AsyncGenerator<Check> {
  for (const exchange of exchanges) yield await exchangeCheck(broker, exchange);
  const target = targetOf(chosen.address);
  if (target.kind !== 'rabbitmq') {
    yield* queueChecks(queues, compareThrough(broker), addressFlags(flags));
    return;
  }
  const connectTimeoutMs = flags.connectTimeout;
  const address = await reachable(target.addresses, connectTimeoutMs);
  const compare = (spec: (typeof queues)[number]) => diagnoseQueues(address, spec, { connectTimeoutMs });
  yield* queueChecks(queues, compare, addressFlags(flags));
  if (flags.managementUrl === undefined) return;
  const { vhost } = await diagnoseAddress(address);
  const management: Management = { url: flags.managementUrl, vhost, timeoutMs: connectTimeoutMs };
  yield* bindingChecks(queues, management);
}

/** Whether the exchange exists as it is defined. */
async function exchangeCheck(broker: Backend, spec: ExchangeSpec): Promise<Check> {
  const { name } = spec;
  try {
    await broker.declareExchange({ ...spec, declare: 'existing' });
    // It exists, so that this declaration creates nothing.
    if (spec.declare === 'match') await broker.declareExchange(spec);
    const as = spec.declare === 'match' ? 'matches its definition' : 'exists and is used as it is';
    return ok('exchange', `'${name}' ${as}`, { exchange: name });
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISMATCH')) {
      return fail('exchange', error.message, EXIT.failed, undefined, { exchange: name });
    }
    if (!isQueueError(error, 'QUEUE_MISSING')) return failure('exchange', error);
    const facts = { exchange: name };
    return spec.declare === 'existing'
      ? fail('exchange', `'${name}' does not exist`, EXIT.empty, 'another program must create it', facts)
      : ok('exchange', `'${name}' does not exist yet; the first publisher or consumer creates it`, facts);
  }
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
