import type { ConnectOptions } from '../../src/connect.js';
import type { QueueOptions } from '../../src/queue.js';
import type { MessageKind, SendOperation } from './operations.js';

export interface Grain {
  readonly id: string;
  readonly kind: MessageKind;
  readonly key: string;
}

/** Where an actor works, and with which queue. */
export interface ActorOrder {
  readonly address: string;
  readonly connectOptions?: ConnectOptions;
  readonly queue: string;
  readonly queueOptions: QueueOptions<Grain>;
}

/** What an actor saw. */
export type Report =
  | {
      readonly type: 'fate';
      readonly id: string;
      readonly code?: string | undefined;
      readonly message: string;
    }
  | {
      readonly type: 'handled';
      readonly id: string;
      readonly attempt: number;
      readonly redelivered: boolean;
      readonly resent: boolean;
    }
  | { readonly type: 'breach'; readonly text: string };

export interface SendOrder extends Pick<SendOperation, 'how' | 'timeoutMs' | 'abortAfterMs'> {
  readonly messages: readonly Grain[];
}

export class Actor {
  constructor(millrace: unknown, order: ActorOrder, report: (report: Report) => void);
  send(order: SendOrder): Promise<void>;
  start(options: { readonly concurrency: number; readonly keyed: boolean }): Promise<void>;
  stop(options: { readonly deadlineMs: number }): Promise<void>;
  mend(): void | Promise<void>;
  replay(): Promise<void>;
  close(): Promise<void>;
}
