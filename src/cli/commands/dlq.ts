/** What the commands of `millrace dlq` have in common. */
import type { Broker } from '../../broker.js';
import { type DeadLetters, deadLetters } from '../../dead-letters/dead-letters.js';
import type { ScanResult, SelectionOptions } from '../../dead-letters/selection.js';
import { isQueueError } from '../../errors.js';
import { type AddressFlags, chooseAddress, embeddedAddress } from '../address.js';
import { brokerEventLine } from '../event-line.js';
import { type ExitCode, exitCodeOfSignal, type StopSignal } from '../exit-code.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import type { Output, OutputFlags } from '../output.js';
import { onStopSignal } from '../stop-signal.js';
import { letters as count } from './dlq/dead-letter-view.js';

export interface DlqFlags extends AddressFlags, OutputFlags {
  readonly queue: string;
  readonly deadLetterQueue?: string;
  readonly reason?: string;
  readonly since?: Date;
  readonly before?: Date;
  readonly match?: string;
  readonly limit?: number;
  readonly connectTimeout: number;
}

/** Opens the broker, has `job` done with the dead letters of `queue`, and closes it. A signal ends the job early. */
export async function withDeadLetters(
  queue: Parameters<typeof deadLetters>[1],
  flags: DlqFlags,
  output: Output,
  job: (letters: DeadLetters, signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags, process.env, embeddedAddress(process.env));
  refuseMemory(chosen, 'dlq');
  const broker: Broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.log(brokerEventLine(event));
    },
  });
  const interruption = new AbortController();
  let ending: StopSignal | undefined;
  const signals = onStopSignal((signal) => {
    // A second one ends the process at once, as it would any other.
    signals.dispose();
    ending = signal;
    interruption.abort();
  });
  try {
    const options = flags.deadLetterQueue === undefined ? {} : { queue: flags.deadLetterQueue };
    return await job(deadLetters(broker, queue, options), interruption.signal);
  } catch (error) {
    if (ending === undefined || !isQueueError(error, 'ABORTED')) throw error;
    output.error(`ended by ${ending}; what was not reached stays`);
    return exitCodeOfSignal(ending);
  } finally {
    signals.dispose();
    await broker.close();
  }
}

/** The letters that the command line chooses. */
export function selectionOf(ids: readonly string[], flags: DlqFlags, signal: AbortSignal): SelectionOptions {
  const { reason, since, before, match, limit } = flags;
  return { ids: ids.length === 0 ? undefined : ids, reason, since, before, match, limit, signal };
}

/** Tells a person at the end what was done, and a machine the figures. */
export function conclude(
  output: Output,
  text: string,
  figures: ScanResult & Readonly<Record<string, unknown>>,
): void {
  const { total, examined } = figures;
  if (output.json) output.log({ event: 'summary', level: 'info', text, fields: figures });
  else output.note(` [*] ${text}`);
  if (examined < total) {
    const unseen = total - examined;
    if (!output.json)
      output.note(` [*] ${unseen} of ${count(total)} ${unseen === 1 ? 'was' : 'were'} not looked at`);
  }
}
