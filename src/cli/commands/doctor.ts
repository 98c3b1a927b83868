/** `millrace doctor` */

import type { Command } from 'commander';
import type { BrokerEvent, QueueSpec } from '../../broker.js';
import { backendOf } from '../../common/options.js';
import { type BrokerTarget, connect, targetOf } from '../../connect.js';
import { diagnoseQueues } from '../../diagnose.js';
import { type ChosenAddress, chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, addressFlags, type CommonFlags, type Execute } from '../common-options.js';
import { type Check, failure, warn } from '../doctor/check.js';
import { folderChecks } from '../doctor/folder-checks.js';
import { compareThrough, queueChecks } from '../doctor/queue-checks.js';
import { badAddress, rabbitMqChecks } from '../doctor/rabbitmq-checks.js';
import { Report } from '../doctor/report.js';
import { roundTrip } from '../doctor/round-trip.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { importQueues } from '../import-module.js';
import type { Output } from '../output.js';
import { sendingQueue } from '../text-queue.js';

const EXAMPLES = `
Examples:
  $ millrace doctor                      check the default broker
  $ millrace doctor -u amqp://localhost
  $ millrace doctor ./queues.js          check the queues that it exports, too`;

const NOTES = `
Prints one line per check: ok, warn or fail, and what to do. Creates no queue except a temporary one.

Exit codes: 0 no failures (there may be warnings); 1 a queue differs from its definition; 4 a queue is missing; 69 broker unreachable; 75 no answer in time; 77 access denied; 78 configuration error, or a folder that can't be used.`;

export function addDoctorCommand(program: Command, execute: Execute): void {
  const command = program
    .command('doctor')
    .description('Checks that the broker is usable and that queues match their definitions.')
    .argument(
      '[queue]',
      "a queue's name, or a module (./queues.js) whose exports are queues made by defineQueue",
    )
    .action((subject: string | undefined, flags: CommonFlags) =>
      execute(flags, (output) => doctor(subject, flags, output)),
    );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

/** Checks the broker and the queues of `subject`, and changes nothing. */
async function doctor(subject: string | undefined, flags: CommonFlags, output: Output): Promise<ExitCode> {
  const specs = subject === undefined ? [] : await specsOf(subject);
  const chosen = chooseAddress(flags);
  const report = new Report(output);
  const about = { chosen, specs, connectTimeoutMs: flags.connectTimeout, hintFlags: addressFlags(flags) };
  for await (const check of checks(about)) await report.add(check);
  return report.end();
}

/** A subject that ends like this is a module. */
const MODULE = /\.[cm]?[jt]s$/;

/** The queues that a module exports, or the one of this name as `send` and `work` declare it. */
async function specsOf(subject: string): Promise<readonly QueueSpec[]> {
  if (!MODULE.test(subject)) return [sendingQueue(subject).spec];
  return (await importQueues(subject)).map(({ spec }) => spec);
}

/** What to check, and how. */
interface Subject {
  readonly chosen: ChosenAddress;
  readonly specs: readonly QueueSpec[];
  readonly connectTimeoutMs: number;
  /** See {@link addressFlags}. */
  readonly hintFlags: string;
}

/** Runs the checks in order. A check that depends on a failed one is left out. */
async function* checks(about: Subject): AsyncGenerator<Check> {
  const { chosen, specs, connectTimeoutMs, hintFlags } = about;
  let target: BrokerTarget;
  try {
    target = targetOf(chosen.address);
  } catch (error) {
    yield badAddress(chosen, error);
    return;
  }
  if (target.kind === 'rabbitmq') {
    const entry = yield* rabbitMqChecks(chosen, target.addresses, connectTimeoutMs);
    if (entry === undefined) return;
    yield* throughBroker(entry, { ...about, specs: [] });
    yield* queueChecks(specs, (spec) => diagnoseQueues(entry, spec, { connectTimeoutMs }), hintFlags);
    return;
  }
  if (target.kind === 'memory') {
    yield warn(
      'address',
      `local:, from ${chosen.source}: queues in memory, which no other process can see and which end with their process`,
      "for 'send' and 'work' use a folder, such as local:./folder, or RabbitMQ",
      { source: chosen.source },
    );
  } else if (!(yield* folderChecks(chosen, target.path))) return;
  yield* throughBroker(chosen.address, about);
}

async function* throughBroker(
  address: string,
  { specs, connectTimeoutMs, hintFlags }: Subject,
): AsyncGenerator<Check> {
  try {
    const blocked = new AbortController();
    const observe = (event: BrokerEvent) => {
      if (event.type === 'blocked') blocked.abort(blockedError(event.reason));
    };
    const broker = backendOf(await connect(address, { connectTimeoutMs, observe }));
    try {
      yield await roundTrip(broker, blocked.signal);
      yield* queueChecks(specs, compareThrough(broker), hintFlags);
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
