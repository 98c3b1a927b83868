import { expect, test } from 'vitest';
import type { DemoTotals } from '../../../src/cli/commands/demo/meter.js';
import { introduction, progressLine, summary } from '../../../src/cli/commands/demo/view.js';
import type { Line } from '../../../src/cli/output.js';

const setting = { capacity: 100, handle: 10, seconds: 10 };
const sample = { seconds: 2, depth: 50, sent: 1250, handled: 1200, waiting: 0.987 };
const totals: DemoTotals = {
  seconds: 11,
  sent: 1100,
  handled: 1100,
  deepest: 100,
  longestWaitMs: 12,
  waiting: 0.98,
  startMemoryBytes: 60 * 2 ** 20,
  peakMemoryBytes: 64 * 2 ** 20,
};

test('the introduction says what is seen, where, and when it ends', () => {
  const text = introduction(setting, 'local:');
  expect(text).toContain('a queue of 100 messages');
  expect(text).toContain('in the memory of this process');
  expect(text).toContain('10 ms');
  expect(text).toContain('after 10 s');
  expect(introduction({ ...setting, messages: 5000 }, 'amqp://h')).toContain('after 5,000 messages');
});

/** A line without its colors. */
function textOf(line: Line): string {
  return typeof line === 'string'
    ? line
    : line.map((part) => (typeof part === 'string' ? part : part.text)).join('');
}

test('the bar shows the depth', () => {
  expect(textOf(progressLine(sample, 100))).toBe(
    '  2.0 s  [############............] 50/100 in the queue  sent 1,250  handled 1,200  producer waits 99 %',
  );
});

test('a bar that is full has another color', () => {
  expect(progressLine(sample, 100)).toContainEqual({ style: 'green', text: '############' });
  expect(progressLine({ ...sample, depth: 100 }, 100)).toContainEqual({
    style: 'yellow',
    text: '#'.repeat(24),
  });
});

test('the bar never grows out of its frame', () => {
  expect(textOf(progressLine({ ...sample, depth: 300 }, 100))).toContain(
    '[########################] 300/100',
  );
});

test('the line fits into the columns of the terminal, with a shorter bar and fewer words', () => {
  expect(textOf(progressLine(sample, 100, 80))).toBe(
    '  2.0 s  [#######......] 50/100  sent 1,250  handled 1,200  producer waits 99 %',
  );
  expect(textOf(progressLine(sample, 100, 40))).toBe('  2.0 s  [#####....] 50/100  sent 1,250');
  for (let columns = 1; columns <= 200; columns++) {
    expect(textOf(progressLine(sample, 100, columns)).length).toBeLessThan(Math.max(2, columns));
  }
});

test('a producer that has ended waits no more', () => {
  expect(textOf(progressLine({ ...sample, waiting: undefined }, 100))).toContain('producer has ended');
});

test('the summary concludes from what was seen', () => {
  const text = summary(totals, setting);
  expect(text).toContain('sent          1,100 messages');
  expect(text).toContain('longest wait  12 ms');
  expect(text).toContain('slowed to the pace of the consumer');
  expect(text).toContain('every message sent was handled');
  expect(text).toContain('memory stayed flat');
});

test('the summary claims nothing that was not so', () => {
  const text = summary({ ...totals, handled: 1000, deepest: 3, peakMemoryBytes: 200 * 2 ** 20 }, setting);
  expect(text).toContain('kept up with the producer');
  expect(text).toContain('100 messages had not been handled at the end');
  expect(text).toContain('memory grew by 140 MB');
});
