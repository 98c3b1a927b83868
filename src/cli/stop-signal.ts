import type { StopSignal } from './exit-code.js';

const SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM'];

/** Calls `handle` at each INT and TERM, which then no longer end the process by themselves, until disposed. */
export function onStopSignal(handle: (signal: StopSignal) => void): { readonly dispose: () => void } {
  for (const signal of SIGNALS) process.on(signal, handle);
  return {
    dispose: () => {
      for (const signal of SIGNALS) process.off(signal, handle);
    },
  };
}
