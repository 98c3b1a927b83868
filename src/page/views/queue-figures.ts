import { attentionOf } from '../figures/attention.js';
import type { Sampler } from '../figures/sampler.js';
import type { Cell, Cells } from '../html/cells.js';
import { age, number, rate, sinceText, UNKNOWN } from '../html/format.js';

const FIGURES = ['ready', 'unsettled', 'delayed', 'dead', 'oldest', 'in', 'out', 'consumers'];

/** The latest figures of a queue, by column, and why it needs attention. `median`: the median age of all queues. */
export function queueFigures({ latest, history }: Sampler, name: string, median: number): Cells {
  const queue = latest.byName.get(name);
  if (queue === undefined) {
    const unknown = FIGURES.map((key): [string, Cell] => [key, { text: UNKNOWN }]);
    return new Map([['why', { text: 'removed', state: 'off' }], ...unknown]);
  }
  const { ready, unsettled, delayed, dead, oldestAgeMs, rates, consumers, unknown } = queue;
  const { words, state } = attentionOf(queue, history, median);
  const since = ready === 0 ? undefined : sinceText(latest.at, oldestAgeMs);
  return new Map<string, Cell>([
    ['why', { text: words, state }],
    ['ready', { text: number(ready) }],
    ['unsettled', { text: number(unsettled), title: unknown.unsettled }],
    ['delayed', { text: number(delayed), title: unknown.delayed }],
    [
      'dead',
      {
        text: number(dead),
        state: dead !== undefined && dead > 0 ? 'bad' : undefined,
        title: unknown.dead,
      },
    ],
    ['oldest', { text: ready === 0 ? UNKNOWN : age(oldestAgeMs), title: since ?? unknown.oldestAgeMs }],
    ['in', { text: rate(rates?.in), title: unknown.rates }],
    ['out', { text: rate(rates?.out), title: unknown.rates }],
    ['consumers', { text: number(consumers) }],
  ]);
}
