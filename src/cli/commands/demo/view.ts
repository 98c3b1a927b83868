/** What the demo shows. Pure. */
import { showDuration } from '../../event-line.js';
import type { DemoSample, DemoTotals } from './meter.js';

interface Setting {
  readonly capacity: number;
  readonly handle: number;
  readonly seconds: number;
  readonly messages?: number;
}

type Style = (format: 'yellow' | 'green' | 'cyan', text: string) => string;
const plain: Style = (_format, text) => text;

const BAR_CELLS = 24;
const MEGABYTE = 1024 * 1024;
/** Less is what a garbage collector that sees no need leaves lying around. */
const FLAT_BYTES = 50 * MEGABYTE;

export function introduction({ capacity, handle, seconds, messages }: Setting, broker: string): string {
  const where = broker === 'local:' ? 'in the memory of this process' : `at ${broker}`;
  const end = messages === undefined ? `after ${seconds} s` : `after ${number(messages)} messages`;
  return [
    `A fast producer and a slow consumer, with a queue of ${number(capacity)} messages between them, ${where}.`,
    `The consumer takes ${showDuration(handle)} for a message; the producer sends as fast as it is let. When the queue`,
    `is full, send waits: that is the back-pressure. The producer ends ${end}, or when you press CTRL+C.`,
    '\n',
  ].join('\n');
}

export function progressLine(sample: DemoSample, capacity: number, style: Style = plain): string {
  const { depth, sent, handled, waiting, seconds } = sample;
  const cells = Math.min(BAR_CELLS, Math.round((depth / capacity) * BAR_CELLS));
  const bar =
    style(depth >= capacity ? 'yellow' : 'green', '#'.repeat(cells)) + '.'.repeat(BAR_CELLS - cells);
  return [
    `${seconds.toFixed(1).padStart(5)} s`,
    `[${bar}] ${number(depth)}/${number(capacity)} in the queue`,
    `sent ${number(sent)}`,
    `handled ${number(handled)}`,
    waiting === undefined ? 'producer has ended' : `producer waits ${percent(waiting)}`,
  ].join('  ');
}

export function summary(totals: DemoTotals, { capacity }: Setting): string {
  const { seconds, sent, handled, longestWaitMs, startMemoryBytes, peakMemoryBytes } = totals;
  const growth = peakMemoryBytes - startMemoryBytes;
  return [
    '',
    `sent          ${number(sent)} messages in ${seconds.toFixed(1)} s`,
    `handled       ${number(handled)}`,
    `longest wait  ${showDuration(longestWaitMs)} in one send`,
    `peak memory   ${megabytes(peakMemoryBytes)} (${megabytes(growth)} above the start)`,
    '',
    conclusion(totals, capacity, growth),
    '',
  ].join('\n');
}

/** Says what was seen, and only that. */
function conclusion(
  { sent, handled, waiting, deepest }: DemoTotals,
  capacity: number,
  growth: number,
): string {
  const pace =
    deepest >= capacity
      ? `The queue filled up and the producer had to wait, ${percent(waiting)} of its time: it was held to the pace of the consumer`
      : `The queue never filled up (${number(deepest)} of ${number(capacity)}): the consumer kept up with the producer`;
  const fate =
    sent > handled
      ? `${number(sent - handled)} messages were not handled yet at the end`
      : 'every message sent was handled';
  const memory = growth < FLAT_BYTES ? 'memory stayed flat' : `memory grew by ${megabytes(growth)}`;
  return `${pace}, ${fate}, and ${memory}.`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(bytes < 10 * MEGABYTE ? 1 : 0)} MB`;
}
