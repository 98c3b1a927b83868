/** Formats the output of the demo. */
import { showDuration } from '../../../common/reporting/event-line.js';
import { cut } from '../../layout.js';
import type { Line } from '../../output.js';
import type { DemoSample, DemoTotals } from './meter.js';

interface Setting {
  readonly capacity: number;
  readonly handle: number;
  readonly seconds: number;
  readonly messages?: number;
}

const BAR_CELLS = 24;
/** A shorter bar would be less informative than the numbers. */
const MIN_BAR_CELLS = 8;
const MEGABYTE = 1024 * 1024;
/** Growth below this may be garbage that has not been collected yet. */
const FLAT_BYTES = 50 * MEGABYTE;

export function introduction({ capacity, handle, seconds, messages }: Setting, broker: string): string {
  const where = broker === 'local:' ? 'in the memory of this process' : `at ${broker}`;
  const end = messages === undefined ? `after ${seconds} s` : `after ${number(messages)} messages`;
  return [
    `A fast producer and a slow consumer, with a queue of ${number(capacity)} messages between them, ${where}.`,
    `The consumer takes ${showDuration(handle)} per message; the producer sends as fast as it can.`,
    `When the queue is full, send waits: that is back-pressure. The producer stops ${end}, or when you press CTRL+C.`,
    '',
  ].join('\n');
}

/** Fits the line into `columns`: the bar gets the space that the words leave; if that is too little, words are cut. */
export function progressLine(
  { depth, sent, handled, waiting, seconds }: DemoSample,
  capacity: number,
  columns = Number.POSITIVE_INFINITY,
): Line {
  const time = `${seconds.toFixed(1).padStart(5)} s  `;
  const fill = `${number(depth)}/${number(capacity)}`;
  const counts = `sent ${number(sent)}  handled ${number(handled)}`;
  const producer = waiting === undefined ? 'producer has ended' : `producer waits ${percent(waiting)}`;
  const variants = [
    `${fill} in the queue  ${counts}  ${producer}`,
    `${fill}  ${counts}  ${producer}`,
    `${fill}  ${counts}`,
    `${fill}  sent ${number(sent)}`,
  ];
  // The last column stays free, since some terminals start a new row when it is filled.
  const room = columns - 1 - time.length;
  for (const words of variants) {
    const cells = Math.min(BAR_CELLS, room - words.length - '[] '.length);
    if (cells < MIN_BAR_CELLS) continue;
    const full = Math.min(cells, Math.round((depth / capacity) * cells));
    const style = depth >= capacity ? 'yellow' : 'green';
    return [time, '[', { style, text: '#'.repeat(full) }, `${'.'.repeat(cells - full)}] ${words}`];
  }
  return cut(`${time}${fill}`, columns - 1);
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
  ].join('\n');
}

/** States only measured facts. */
function conclusion(
  { sent, handled, waiting, deepest }: DemoTotals,
  capacity: number,
  growth: number,
): string {
  const pace =
    deepest >= capacity
      ? `The queue filled up and the producer waited ${percent(waiting)} of its time: it was slowed to the pace of the consumer`
      : `The queue never filled up (${number(deepest)} of ${number(capacity)}): the consumer kept up with the producer`;
  const fate =
    sent > handled
      ? `${number(sent - handled)} messages had not been handled at the end`
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
