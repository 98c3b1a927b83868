/** How `demo` and `bench` run: on a broker of their own choice, until they are done or nobody wants to see more. */
import type { Broker } from '../broker.js';
import { type AddressFlags, chooseAddress } from './address.js';
import { brokerEventLine } from './event-line.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { openBroker } from './open-broker.js';
import type { Output } from './output.js';
import { onStopSignal } from './stop-signal.js';

/** The signal is aborted by INT and TERM, and when nobody reads the output any more. */
export async function tryOut(
  flags: AddressFlags & { readonly connectTimeout: number },
  output: Output,
  run: (broker: Broker, signal: AbortSignal) => Promise<void>,
): Promise<ExitCode> {
  // Not the environment's address: who just looks, or measures, must not load a broker by accident.
  const broker = await openBroker(chooseAddress(flags, {}, 'local:'), output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type !== 'connected') output.log(brokerEventLine(event));
    },
  });
  const interruption = new AbortController();
  const signals = onStopSignal(() => {
    signals.dispose();
    interruption.abort();
  });
  output.closed.then(() => interruption.abort());
  try {
    await run(broker, interruption.signal);
    return EXIT.ok;
  } finally {
    signals.dispose();
    await broker.close();
  }
}
