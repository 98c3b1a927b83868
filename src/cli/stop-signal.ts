/** The signals that end a command. */
import { constants } from 'node:os';
import { CommandError, EXIT, type ExitCode } from './exit-code.js';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT';

const EXIT_CODES: Readonly<Record<StopSignal, ExitCode>> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
  SIGHUP: EXIT.hungUp,
  SIGQUIT: EXIT.quit,
};

/** The exit code for work that a signal ended before it was finished. */
export function exitCodeOfSignal(signal: StopSignal): ExitCode {
  return EXIT_CODES[signal];
}

/**
 * Whether a repeated signal means to stop at once. HUP does not: when a terminal closes, the shell and the kernel both
 * send one.
 */
export function insists(signal: StopSignal): boolean {
  return signal !== 'SIGHUP';
}

/** Calls `handle` on each stop signal, instead of ending the process, until disposed. */
export function onStopSignal(handle: (signal: StopSignal) => void): { readonly dispose: () => void } {
  // Windows does not have QUIT.
  const signals = (Object.keys(EXIT_CODES) as StopSignal[]).filter((signal) => signal in constants.signals);
  for (const signal of signals) process.on(signal, handle);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, handle);
    },
  };
}

/**
 * An `AbortController` for work that a stop signal ends. The first signal aborts it with a `CommandError` that names
 * the signal; a second one ends the process at once.
 */
export function abortOnStopSignal(): AbortController & { readonly dispose: () => void } {
  const controller = new AbortController();
  const { dispose } = onStopSignal((signal) => {
    if (!controller.signal.aborted) {
      controller.abort(new CommandError(exitCodeOfSignal(signal), `ended by ${signal}`));
    } else if (insists(signal)) {
      dispose();
      process.kill(process.pid, signal);
    }
  });
  return Object.assign(controller, { dispose });
}
