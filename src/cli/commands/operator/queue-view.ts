/** Formats queues as a table, as details, and as a line of a chart. */
import type { ConsumerList, QueueConsumer, QueueFigure, QueueInfo } from '../../../broker.js';
import { onOneLine } from '../../../common/reporting/terminal-text.js';
import { cut, cutName, padTo, widthOf } from '../../layout.js';

interface Column {
  readonly title: string;
  readonly cell: (queue: QueueInfo) => string;
  /** Of two that don't fit, the one with the greater number is left out. */
  readonly rank: number;
}

const UNKNOWN = '?';

const COLUMNS: readonly Column[] = [
  { title: 'READY', rank: 1, cell: ({ ready }) => String(ready) },
  { title: 'UNSETTLED', rank: 7, cell: ({ unsettled }) => figure(unsettled) },
  { title: 'DELAYED', rank: 4, cell: ({ delayed }) => figure(delayed) },
  { title: 'DEAD', rank: 2, cell: ({ dead }) => figure(dead) },
  { title: 'OLDEST', rank: 3, cell: ({ oldestAgeMs, ready }) => (ready === 0 ? '-' : age(oldestAgeMs)) },
  { title: 'CONSUMERS', rank: 8, cell: ({ consumers }) => figure(consumers) },
  { title: 'IN/S', rank: 5, cell: ({ rates }) => rate(rates?.in) },
  { title: 'OUT/S', rank: 6, cell: ({ rates }) => rate(rates?.out) },
];

/** A name cut below this is useless: columns are left out instead. */
const MIN_NAME = 20;
const GAP = 2;

/**
 * A header line and a line per queue. On a narrow terminal columns are left out, and names are cut. `extra`: one more
 * column, at the end.
 */
export function queueTable(
  queues: readonly QueueInfo[],
  width = Number.POSITIVE_INFINITY,
  extra?: { readonly title: string; readonly cell: (queue: QueueInfo) => string },
): string[] {
  const isKnown = ({ title }: Column) =>
    !(title.endsWith('/S') && queues.every(({ rates }) => rates === undefined)) &&
    !(title === 'OLDEST' && queues.every(({ oldestAgeMs, ready }) => ready > 0 && oldestAgeMs === undefined));
  const rows = (column: Omit<Column, 'rank'>) => [column.title, ...queues.map((queue) => column.cell(queue))];
  const names = ['QUEUE', ...queues.map(nameOf)];
  const wanted = Math.max(...names.map(widthOf));
  let columns = COLUMNS.filter(isKnown).map((column) => ({ ...column, cells: rows(column) }));
  if (extra !== undefined) columns.push({ ...extra, rank: 1.5, cells: rows(extra) });
  const widthsOf = () => columns.map(({ cells }) => Math.max(...cells.map(widthOf)));
  const room = () => width - widthsOf().reduce((sum, each) => sum + each + GAP, 0);
  while (columns.length > 1 && room() < Math.min(wanted, MIN_NAME)) {
    const last = columns.reduce((worst, column) => (column.rank > worst.rank ? column : worst));
    columns = columns.filter((column) => column !== last);
  }
  const widths = widthsOf();
  const nameWidth = Math.max(1, Math.min(wanted, room()));
  return names.map((name, row) => {
    const cells = columns.map(({ cells: all, title }, index) => {
      const cell = all[row] ?? '';
      // Numbers are right-aligned; a chart is not.
      const gap = ' '.repeat(Math.max(0, (widths[index] ?? 0) - widthOf(cell)));
      return title === extra?.title ? cell + gap : gap + cell;
    });
    return cut([padTo(cutName(name, nameWidth), nameWidth), ...cells].join('  ').trimEnd(), width);
  });
}

function nameOf({ name, paused }: QueueInfo): string {
  return onOneLine((paused ? `${name} (paused)` : name).replaceAll('\t', ' '));
}

function figure(value: number | undefined): string {
  return value === undefined ? UNKNOWN : String(value);
}

function rate(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  return value === 0 || value >= 100 ? String(Math.round(value)) : value.toFixed(1);
}

/** `45 s`, `3 min`, `2 h`, `5 d`. */
export function age(ms: number | undefined): string {
  if (ms === undefined) return UNKNOWN;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

const WORDS: Readonly<Record<QueueFigure, string>> = {
  consumers: 'consumers',
  unsettled: 'unsettled',
  delayed: 'delayed',
  dead: 'dead',
  oldestAgeMs: 'oldest',
  bytes: 'bytes',
  rates: 'rates',
};

/** All that is known about a queue, and why the rest is not. */
export function queueDetails(queue: QueueInfo, list?: ConsumerList): string[] {
  const { deadLetterQueue, capacity, rates, unknown } = queue;
  const facts: [string, string | undefined][] = [
    ['queue', queue.name],
    ['type', queue.type],
    ['paused', queue.paused ? 'yes' : undefined],
    ['ready', String(queue.ready)],
    ['unsettled', queue.unsettled?.toString()],
    ['delayed', queue.delayed?.toString()],
    ['dead', queue.dead?.toString()],
    ['oldest', queue.oldestAgeMs === undefined || queue.ready === 0 ? undefined : age(queue.oldestAgeMs)],
    ['bytes', queue.bytes?.toString()],
    ['consumers', queue.consumers?.toString()],
    ...(list?.consumers ?? []).map((consumer): [string, string] => ['consumer', consumerLine(consumer)]),
    ['rates', rates && `${rate(rates.in)} in, ${rate(rates.out)} out per second`],
    [
      'capacity',
      capacity === undefined
        ? undefined
        : capacity === Number.POSITIVE_INFINITY
          ? 'no limit'
          : String(capacity),
    ],
    ['dead letters', deadLetterQueue === null ? 'dropped' : deadLetterQueue],
    ['exclusive', queue.exclusive === true ? 'yes' : undefined],
    ['auto-delete', queue.autoDelete === true ? 'yes' : undefined],
    ...unknownFacts(unknown),
  ];
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== undefined);
  const width = Math.max(...known.map(([name]) => widthOf(name))) + 1;
  return known.map(([name, value]) => `${padTo(`${name}:`, width)}  ${onOneLine(value)}`);
}

/** `process 4711 on mill: 3 unsettled, here for 5 min, settled 2 s ago`, as far as it is known. */
function consumerLine({
  pid,
  host,
  connection,
  subscriptions,
  unsettled,
  since,
  settledAt,
}: QueueConsumer): string {
  const place = host === undefined ? '' : ` on ${host}`;
  const who = pid === undefined ? (connection ?? 'unknown') : `process ${pid}`;
  const facts = [
    ...(subscriptions > 1 ? [`${subscriptions} subscriptions`] : []),
    ...(unsettled === undefined ? [] : [`${unsettled} unsettled`]),
    ...(since === undefined ? [] : [`here for ${age(Math.max(0, Date.now() - since))}`]),
    ...(settledAt === undefined ? [] : [`settled ${age(Math.max(0, Date.now() - settledAt))} ago`]),
    ...(pid === undefined || connection === undefined ? [] : [connection]),
  ];
  return `${who}${place}${facts.length === 0 ? '' : `: ${facts.join(', ')}`}`;
}

/** Figures that are unknown for the same reason, as one. */
function unknownFacts(unknown: QueueInfo['unknown']): [string, string][] {
  const byReason = new Map<string, string[]>();
  for (const [name, reason] of Object.entries(unknown)) {
    const others = byReason.get(reason);
    if (others === undefined) byReason.set(reason, [WORDS[name as QueueFigure]]);
    else others.push(WORDS[name as QueueFigure]);
  }
  return [...byReason].map(([reason, names]) => ['unknown', `${names.join(', ')}: ${reason}`]);
}

const BARS = '▁▂▃▄▅▆▇█';

/** A bar for each value, as high as the highest of them allows. */
export function sparkline(values: readonly number[]): string {
  const highest = Math.max(...values, 1);
  return values.map((value) => BARS[Math.ceil((value / highest) * (BARS.length - 1))]).join('');
}
