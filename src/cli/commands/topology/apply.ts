/** `millrace topology apply` */
import type { Command } from 'commander';
import type { QueueSpec } from '../../../broker.js';
import { backendOf } from '../../../common/backend-of.js';
import { isQueueError } from '../../../errors.js';
import { chooseAddress } from '../../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../../common-options.js';
import { changeAdvice, firstOf } from '../../doctor/exchange-checks.js';
import { removeLeftOver, topicsWithoutKeep } from '../../doctor/left-over-checks.js';
import { EXIT, type ExitCode, exitCodeOf } from '../../exit-code.js';
import { importTopology } from '../../import-module.js';
import { openBroker, refuseMemory } from '../../open-broker.js';
import type { Output } from '../../output.js';
import { abortOnStopSignal } from '../../stop-signal.js';

const NOTES = `
Declares exchanges, queues and bindings, as producers and consumers do, and removes the bindings named by 'unbind'. If a topic no longer has unrouted: 'keep', removes its queue of unrouted events, if that is empty. It deletes nothing else. A queue or an exchange that exists with other properties stays as it is, and is reported.

Exit codes: 0 success; 3 some can't be declared; 4 one that must exist is missing; 69 broker unreachable; 77 access denied; 78 one exists with other properties.`;

export function addApplyCommand(topology: Command, execute: Execute): void {
  const command = topology
    .command('apply')
    .description('Declares the queues, exchanges and bindings of a module.')
    .argument('<module>', 'the module that defines the topology')
    .action((module: string, flags: CommonFlags) => execute(flags, (output) => apply(module, flags, output)));
  addHelp(command, NOTES, ADDRESS_HELP);
}

async function apply(module: string, flags: CommonFlags, output: Output): Promise<ExitCode> {
  const topology = await importTopology(module);
  const { queues, exchanges } = topology;
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'topology apply');
  const broker = backendOf(
    await openBroker(chosen, output, { connectTimeout: flags.connectTimeout, observe: () => {} }),
  );
  const interruption = abortOnStopSignal();
  const { signal } = interruption;
  let declared = 0;
  const refused = new Set<string>();
  let firstFailure: ExitCode | undefined;
  const declare = async (
    kind: 'exchange' | 'queue',
    name: string,
    details: string,
    run: () => Promise<void>,
  ) => {
    try {
      await run();
      declared++;
      if (output.json) await output.record({ kind, name, declared: true });
      else if (!output.quiet) await output.data(` [x] Declared the ${kind} '${name}'${details}`);
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISMATCH', 'QUEUE_MISSING', 'ACCESS_REFUSED', 'BROKER_ERROR'))
        throw error;
      firstFailure ??= exitCodeOf(error);
      if (kind === 'exchange') refused.add(name);
      const advice = kind === 'exchange' && error.code === 'QUEUE_MISMATCH' ? `; ${changeAdvice(name)}` : '';
      if (output.json) await output.record({ kind, name, declared: false, error: error.message });
      else output.error(`${error.message}${advice}`);
    }
  };
  try {
    for (const spec of exchanges) {
      await declare('exchange', spec.name, '', () => broker.declareExchange(spec, { signal }));
    }
    for (const spec of queues) {
      await declare('queue', spec.name, bindingsText(spec), () => broker.declare(spec, { signal }));
    }
    for (const { topic, queue } of topicsWithoutKeep(topology)) {
      // An exchange with other properties may still lead there.
      if (refused.has(topic)) continue;
      for (const name of await removeLeftOver(broker, queue)) {
        if (output.json) await output.record({ kind: 'queue', name, removed: true });
        else if (!output.quiet) await output.data(` [x] Removed the queue '${name}'`);
      }
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    interruption.dispose();
    await broker.close();
  }
  if (firstFailure === undefined) return EXIT.ok;
  return declared > 0 ? EXIT.partial : firstFailure;
}

function bindingsText({ bindings = [] }: QueueSpec): string {
  if (bindings.length === 0) return '';
  const parts = bindings.map(({ exchange, routingKey }) => `${exchange.name} ${routingKey}`.trimEnd());
  return `, bound to ${firstOf(parts)}`;
}
