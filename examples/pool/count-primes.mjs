/** Keeps a processor busy for as long as it takes: nothing for the thread that has the event loop and the heartbeats. */
export default function countPrimes({ below, crash = false }, { attempt }) {
  if (crash && attempt === 1) process.exit(1); // as a bug in native code would: it takes the thread with it
  let count = 0;
  for (let n = 2; n < below; n++) if (isPrime(n)) count++;
  return count;
}

function isPrime(n) {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false;
  return true;
}
