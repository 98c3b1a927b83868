/** Keeps a processor busy for as long as it takes: nothing for the thread that has the event loop and the heartbeats. */
import { threadId } from 'node:worker_threads';
import type { HandlerContext } from 'millrace';

export default function countPrimes(
  { below, crash = false }: { below: number; crash?: boolean },
  { attempt }: Pick<HandlerContext, 'attempt'>,
) {
  if (crash && attempt === 1) process.exit(1); // as a bug in native code would: it takes the thread with it
  let primes = 0;
  for (let n = 2; n < below; n++) if (isPrime(n)) primes++;
  return { primes, worker: `thread ${threadId} of process ${process.pid}` };
}

function isPrime(n: number): boolean {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}
