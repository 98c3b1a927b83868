/**
 * One listener a signal, however many wait on it: a thousand sends may share one, where Node warns of a leak from
 * the eleventh listener on, and takes longer for each.
 */
const waiting = new WeakMap<AbortSignal, { readonly callbacks: Set<() => void>; stop: () => void }>();

/** Calls back when the signal is aborted. Returns what takes the callback away again. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let entry = waiting.get(signal);
  if (entry === undefined) {
    const callbacks = new Set<() => void>();
    const listener = () => {
      waiting.delete(signal);
      for (const each of callbacks) each();
    };
    signal.addEventListener('abort', listener, { once: true });
    entry = { callbacks, stop: () => signal.removeEventListener('abort', listener) };
    waiting.set(signal, entry);
  }
  const { callbacks, stop } = entry;
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0 || signal.aborted) return;
    stop();
    waiting.delete(signal);
  };
}

/**
 * A signal that is aborted as the first of these is, and how to let go of them. `AbortSignal.any` of Node 20 does not
 * hold on to them: a time limit that nobody else holds may be collected as garbage, and never come.
 */
export function anyOf(signals: readonly AbortSignal[]): { readonly signal: AbortSignal; release(): void } {
  const any = new AbortController();
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted !== undefined) any.abort(aborted.reason);
  const releases = signals.map((signal) => onAbort(signal, () => any.abort(signal.reason)));
  const release = () => {
    for (const each of releases) each();
  };
  return { signal: any.signal, release };
}
