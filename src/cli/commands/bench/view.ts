/** Formats the output of `millrace bench`. */
import { count } from '../../../common/reporting/count.js';
import { cut } from '../../layout.js';
import type { BenchSample, BenchTotals, Percentiles } from './meter.js';

export interface BenchSetting {
  readonly producers: number;
  readonly consumers: number;
  readonly size: number;
  readonly seconds: number;
  readonly rate?: number;
  readonly confirmWindow: number;
  readonly prefetch: number;
}

export function benchIntroduction(setting: BenchSetting, broker: string): string {
  const { producers, consumers, size, seconds, rate, confirmWindow, prefetch } = setting;
  const where = broker === 'local:' ? 'in the memory of this process' : `at ${broker}`;
  const pace = rate === undefined ? 'as fast as they can' : `${number(rate)} messages per second each`;
  return [
    `${count(producers, 'producer', number(producers))} and ${count(consumers, 'consumer', number(consumers))}, ${number(size)} bytes per message, for ${seconds} s, ${where}.`,
    `The producers send ${pace}, with at most ${number(confirmWindow)} unconfirmed each; prefetch ${number(prefetch)}.`,
    '',
  ].join('\n');
}

/** Leaves out latencies that do not fit into `columns`. */
export function benchLine({ seconds, ...sample }: BenchSample, columns = Number.POSITIVE_INFINITY): string {
  const rates = [
    `${seconds.toFixed(1).padStart(5)} s`,
    `sent ${number(sample.sentPerSecond)}/s`,
    `received ${number(sample.receivedPerSecond)}/s`,
  ].join('  ');
  const latencies = [`confirmed in ${short(sample.confirmMs)}`, `handled in ${short(sample.latencyMs)}`];
  const variants = [[rates, ...latencies], [rates, latencies[1]], [rates]].map((parts) => parts.join('  '));
  return variants.find((line) => line.length <= columns) ?? cut(rates, columns);
}

export function benchSummary(totals: BenchTotals): string {
  return [
    '',
    `sent         ${number(totals.sent)} messages, ${number(totals.sentPerSecond)} per second`,
    `received     ${number(totals.received)} messages, ${number(totals.receivedPerSecond)} per second`,
    `confirmed in ${long(totals.confirmMs)}`,
    `handled in   ${long(totals.latencyMs)}`,
    `CPU          ${totals.cpuUsEach.toFixed(1)} µs per message in this process, for sending and handling`,
    `peak memory  ${Math.round(totals.peakMemoryBytes / 2 ** 20)} MB`,
  ].join('\n');
}

function short(percentiles: Percentiles | undefined): string {
  if (percentiles === undefined) return '-';
  return `${ms(percentiles.p50)} (p99 ${ms(percentiles.p99)})`;
}

function long(percentiles: Percentiles | undefined): string {
  if (percentiles === undefined) return '-';
  const { p50, p95, p99, max } = percentiles;
  return `median ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}, longest ${ms(max)}`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
