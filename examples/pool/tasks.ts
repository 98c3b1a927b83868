/** The two kinds of work in this example: their tasks, their results, and the code that does them. */

import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { tasksIn } from './pool.ts';

const byWorker = { worker: z.string() };
export const Square = z.object({ square: z.number(), ...byWorker });
export const Primes = z.object({ primes: z.number(), ...byWorker });

export const squaresIn = (prefix: string) => tasksIn(`${prefix}.squares`, z.union([z.number(), z.string()]));
export const primesIn = (prefix: string) =>
  tasksIn(`${prefix}.primes`, z.object({ below: z.number(), crash: z.boolean().optional() }));

/** Light work: it mostly waits, and only its concurrency is limited. These workers have names, but no threads. */
export function squareBy(names: readonly string[]) {
  const free = [...names];
  return async (n: number | string): Promise<z.infer<typeof Square>> => {
    if (typeof n !== 'number') throw new TypeError(`${JSON.stringify(n)} is not a number`);
    const worker = free.shift() ?? 'nobody';
    await delay(5 + Math.random() * 10); // the results arrive in any order
    free.push(worker);
    return { square: n * n, worker };
  };
}

/** Heavy work: a module whose handler runs in threads. */
export const countPrimes = new URL(
  `./count-primes${extname(fileURLToPath(import.meta.url))}`,
  import.meta.url,
);
