/** The signals that end a command. */
import { CommandError, EXIT, type ExitCode } from './exit-code.js';

export type StopSignal = 'SIGINT' | 'SIGTERM';

const EXIT_CODES: Readonly<Record<StopSignal, ExitCode>> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
};

/** For work that a signal ended before it was finished. */
export function exitCodeOfSignal(signal: StopSignal): ExitCode {
  return EXIT_CODES[signal];
}

/** Calls `handle` at each of the signals, which then no longer end the process by themselves, until disposed. */
export function onStopSignal(handle: (signal: StopSignal) => void): { readonly dispose: () => void } {
  const signals = Object.keys(EXIT_CODES) as StopSignal[];
  for (const signal of signals) process.on(signal, handle);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, handle);
    },
  };
}

/**
 * An `AbortSignal` for work that one signal ends. It is aborted with a `CommandError` that names the signal; a second
 * one ends the process at once, as it would any other.
 */
export function abortOnStopSignal(): AbortController & { readonly dispose: () => void } {
  const controller = new AbortController();
  const { dispose } = onStopSignal((signal) => {
    dispose();
    controller.abort(new CommandError(exitCodeOfSignal(signal), `ended by ${signal}`));
  });
  return Object.assign(controller, { dispose });
}
