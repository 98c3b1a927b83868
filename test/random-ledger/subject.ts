import type { Broker } from '../../src/broker.js';
import type { ConnectOptions } from '../../src/connect.js';
import type { QueueOptions } from '../../src/queue.js';
import type { Grain } from './actor.mjs';
import type { Fault, Verb, Weights } from './operations.js';

/** A backend under random operations, opened afresh for each sequence of them. */
export interface Subject {
  readonly name: string;
  readonly weights: Weights;
  readonly queueOptions: QueueOptions<Grain>;
  /** Which actors are processes of their own. */
  readonly inProcesses: readonly boolean[];
  open(): Promise<OpenSubject>;
}

export interface OpenSubject {
  /** For the actors; the same for all of them. */
  readonly address: string;
  /** For the ledger itself, past all faults, and for actors in its process where `isShared`. */
  connect(): Promise<Broker>;
  /** In memory each connection would be a broker of its own. */
  readonly isShared?: boolean;
  readonly connectOptions: ConnectOptions;
  readonly queue: string;
  /** Whether the server itself may give up a message for this reason, as an operator's policy has it. */
  mayDieOf?(reason: string): boolean;
  /** Begins a fault. What it resolves to ends it; `lost`: messages went with it, as an operator wants it. */
  begin(fault: Fault): Promise<{ readonly lost?: boolean; end?(): Promise<void> }>;
  close(): Promise<void>;
}

const FAULTS: ReadonlySet<Verb> = new Set<Verb>([
  'cut',
  'cutAfter',
  'halfOpen',
  'freeze',
  'refuse',
  'slow',
  'lag',
  'closeConnections',
  'alarm',
  'revoke',
  'policy',
  'pause',
  'deleteQueue',
  'restart',
  'crash',
]);

export function isFault(operation: { readonly do: Verb }): operation is Fault {
  return FAULTS.has(operation.do);
}
