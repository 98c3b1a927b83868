/** Which queues need attention, and why, in one or two words. */
import type { QueueInfo } from '../../broker.js';
import { age, number } from '../html/format.js';
import type { History } from './history.js';

export interface Attention {
  /** A queue with a higher urgency comes first; 0: it needs no attention. */
  readonly rank: number;
  readonly words: string;
  readonly state: 'bad' | 'warn' | undefined;
}

/** Up to this age a queue needs no attention, regardless of the median of the others. */
const SHORT_MS = 60_000;
const TIMES_MEDIAN = 5;

const FINE: Attention = { rank: 0, words: '', state: undefined };

/** The median of the ages of the oldest messages, over the queues that have messages. */
export function medianAge(queues: readonly QueueInfo[]): number {
  const ages = queues
    .flatMap(({ ready, oldestAgeMs }) => (ready > 0 ? (oldestAgeMs ?? []) : []))
    .sort((a, b) => a - b);
  return ages[Math.floor((ages.length - 1) / 2)] ?? 0;
}

export function attentionOf(queue: QueueInfo, history: History, median: number): Attention {
  const { name, ready, consumers, dead = 0, oldestAgeMs = 0, paused, internal } = queue;
  if (internal) return FINE;
  const newDead = history.deadRise(name);
  const found: Attention[] = [];
  if (newDead > 0) found.push({ rank: 60, words: `${number(newDead)} new dead`, state: 'bad' });
  if (ready > 0 && consumers === 0 && history.readyRise(name) > 0)
    found.push({ rank: 50, words: 'grows, no consumer', state: 'bad' });
  else if (ready > 0 && consumers === 0) found.push({ rank: 30, words: 'no consumer', state: 'warn' });
  if (ready > 0 && oldestAgeMs > Math.max(SHORT_MS, median * TIMES_MEDIAN))
    found.push({ rank: 40, words: `waits ${age(oldestAgeMs)}`, state: 'warn' });
  if (paused) found.push({ rank: 35, words: 'paused', state: 'warn' });
  if (dead > 0 && newDead <= 0) found.push({ rank: 38, words: 'dead letters', state: 'warn' });
  const [first, second] = found.sort((one, other) => other.rank - one.rank);
  if (first === undefined) return FINE;
  return second === undefined ? first : { ...first, words: `${first.words}, ${second.words}` };
}
