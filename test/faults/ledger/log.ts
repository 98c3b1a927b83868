import { onTestFinished } from 'vitest';
import type { BrokerEvent } from '../../../src/broker.js';
import type { ConsumerEvent } from '../../../src/consumer/consumer.js';

/** What was seen while a ledger ran. */
export interface Log {
  readonly brokerEvents: BrokerEvent[];
  /** Without those of type `handled`. */
  readonly consumerEvents: ConsumerEvent[];
  /** What processes wrote, and how errors and warnings show. */
  readonly output: string[];
}

export function openLog(): Log {
  const output: string[] = [];
  const onWarning = (warning: Error) => output.push(String(warning.stack));
  process.on('warning', onWarning);
  onTestFinished(() => {
    process.off('warning', onWarning);
  });
  return { brokerEvents: [], consumerEvents: [], output };
}

/** The last of what happened, for an error that has to tell why nothing more did. */
export function lastOf({ brokerEvents, consumerEvents }: Log): string {
  return [...brokerEvents.slice(-8), ...consumerEvents.slice(-4)].map(summary).join('; ') || 'none';
}

function summary(event: BrokerEvent | ConsumerEvent): string {
  if ('reason' in event) {
    return `${event.type} (${event.reason instanceof Error ? event.reason.message : event.reason})`;
  }
  if ('error' in event) return `${event.type} (${String(event.error)})`;
  return event.type;
}
