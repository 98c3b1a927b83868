import type {
  ConsumerList,
  ConsumersOptions,
  Operator,
  PeekOptions,
  PeekPage,
  QueueInfo,
  QueueList,
  QueuesOptions,
  WaitOptions,
} from '../../broker.js';
import { checkConsumers, checkPeek, checkQueues } from '../../common/operator/operator-requests.js';
import { checkQueueName } from '../../common/options.js';
import type { CommandResult } from './protocol.js';
import type { Asked } from './store-client.js';

type Ask = (action: string, options: WaitOptions | undefined, command: Asked) => Promise<CommandResult>;

/** Has the store thread read; `ask` rejects as the commands of the broker do. */
export class DiskOperator implements Operator {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async queues(options?: QueuesOptions): Promise<QueueList> {
    const request = checkQueues(options);
    return (await this.#ask('listing queues', waitOf(options), { kind: 'queues', request })) as QueueList;
  }

  async queue(name: string, options?: WaitOptions): Promise<QueueInfo> {
    checkQueueName(name);
    return (await this.#ask('inspect', options, { kind: 'queue', queue: name })) as QueueInfo;
  }

  async consumers(options?: ConsumersOptions): Promise<ConsumerList> {
    const request = checkConsumers(options);
    const command = { kind: 'consumers', request } as const;
    return (await this.#ask('listing consumers', waitOf(options), command)) as ConsumerList;
  }

  async peek(queue: string, options?: PeekOptions): Promise<PeekPage> {
    const request = checkPeek(queue, options);
    return (await this.#ask('peek', waitOf(options), { kind: 'peek', queue, request })) as PeekPage;
  }

  async pause(queue: string, options?: WaitOptions): Promise<void> {
    checkQueueName(queue);
    await this.#ask('pause', options, { kind: 'set-paused', queue, paused: true });
  }

  async resume(queue: string, options?: WaitOptions): Promise<void> {
    checkQueueName(queue);
    await this.#ask('resume', options, { kind: 'set-paused', queue, paused: false });
  }
}

/** Undefined if there are no limits, which saves the timer. */
function waitOf(options: WaitOptions | undefined): WaitOptions | undefined {
  if (options?.signal === undefined && options?.timeoutMs === undefined) return undefined;
  return { signal: options.signal, timeoutMs: options.timeoutMs };
}
