import type {
  Backend,
  BrokerCounts,
  BrokerEvent,
  BrokerState,
  Delivery,
  Destination,
  ExchangeSpec,
  ListedBinding,
  Message,
  PublishOptions,
  QueueSpec,
  QueueStats,
  QueueSubscription,
  Replies,
  ReplyListener,
  SharedState,
  SharedStateOptions,
  SharedStateView,
  StartsGrant,
  StartsRequest,
  SubscribeOptions,
  WaitOptions,
} from '../../broker.js';
import { checkPublishing, storableHeaders } from '../../common/message/create-and-check.js';
import { checkQueueName, checkWaitOptions, integerOption } from '../../common/options.js';
import { throwIfAborted, within } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { IgnoredArguments } from '../ignored-arguments.js';
import { closedError, NO_LINK_COUNTS, refuseUnknown } from '../local-broker.js';
import { MergedState, viewOf } from '../merged-state.js';
import { ReplyQueue } from '../reply-queue.js';
import {
  checkDiskBrokerOptions,
  type DiskBrokerInternals,
  type DiskBrokerOptions,
} from './broker-options.js';
import { DeclaredQueues } from './declared-queues.js';
import { lockHolder } from './lock-holder.js';
import { leaveStore, openStore } from './open-stores.js';
import { DiskOperator } from './operator.js';
import { because, PendingPublish, PublishLimits, unwritable } from './pending-publish.js';
import { type CommandResult, FLUSH, NO_WAIT, OPTIONAL } from './protocol.js';
import { stateCommands } from './state-commands.js';
import { checkSqlite } from './store/sqlite.js';
import { asStored } from './store/stored-spec.js';
import { type Asked, answerLimit, type StoreClient, withinAnswerLimit } from './store-client.js';
import { DiskSubscription, type SubscribedTo } from './subscription.js';

/**
 * A broker whose queues are stored in a folder: `local:./folder`. Any number of processes on this machine, and brokers in
 * each of them, may have it open at once.
 *
 * Rejects: `STORAGE_ERROR` if the folder can't be used, `STORAGE_FULL`, `UNREACHABLE` where it could not be opened in
 * time, `INVALID_OPTION`.
 */
export async function openDiskBroker(
  folder: string,
  options: DiskBrokerOptions = {},
  internals: DiskBrokerInternals = {},
): Promise<Backend> {
  const { maxMessageBytes, durability, leaseMs, timeoutMs, observe } = checkDiskBrokerOptions(options);
  checkSqlite();
  const client = await openStore(folder, { leaseMs, thread: internals.thread }, timeoutMs);
  const flags = durability === 'flush' ? FLUSH : 0;
  return new DiskBroker(client, maxMessageBytes, flags, observe);
}

class DiskBroker implements Backend {
  readonly url: string;
  readonly outage = undefined;
  readonly maxMessageBytes: number;
  readonly #client: StoreClient;
  readonly #flags: number;
  readonly #observe: (event: BrokerEvent) => void;
  readonly operator = new DiskOperator((action, options, command) => this.#command(action, options, command));
  readonly #ignored: IgnoredArguments;
  readonly #counts = { ...NO_LINK_COUNTS };
  readonly #declared = new DeclaredQueues();
  readonly #subscriptions = new Set<DiskSubscription>();
  /** Names of queues that end with this broker. */
  readonly #exclusive = new Set<string>();
  readonly #publishes: PublishLimits;
  #closing: Promise<void> | undefined = undefined;

  constructor(
    client: StoreClient,
    maxMessageBytes: number,
    flags: number,
    observe: (event: BrokerEvent) => void,
  ) {
    this.url = `local:${client.folder}`;
    this.maxMessageBytes = maxMessageBytes;
    this.#client = client;
    this.#publishes = new PublishLimits(client, this);
    this.#flags = flags;
    this.#observe = observe;
    this.#ignored = new IgnoredArguments(observe);
  }

  get state(): BrokerState {
    return this.#closing === undefined && this.#client.ended === undefined ? 'connected' : 'closed';
  }

  get counts(): BrokerCounts {
    return { ...this.#counts };
  }

  async declare(spec: QueueSpec, options?: WaitOptions): Promise<void> {
    const changes = await this.#declare(spec, options);
    if (spec.exclusive) this.#exclusive.add(spec.name);
    this.#declared.add(spec);
    this.#ignored.report(spec);
    for (const change of changes as string[]) {
      this.#observe({ type: 'redefined', queue: spec.name, change });
    }
  }

  #declare(spec: QueueSpec, options: WaitOptions | undefined): Promise<CommandResult> {
    // As JSON: arguments may hold values that can't be passed to another thread.
    return this.#command('declare', options, { kind: 'declare', spec: asStored(spec) });
  }

  async declareExchange(exchange: ExchangeSpec, options?: WaitOptions): Promise<void> {
    await this.#command('declare', options, { kind: 'declare-exchange', exchange });
  }

  async removeExchange(exchange: string, options?: WaitOptions): Promise<void> {
    await this.#command('remove', options, { kind: 'remove-exchange', exchange });
  }

  publish(to: Destination, message: Message, options?: PublishOptions): Promise<boolean> {
    try {
      this.#checkUsable('publish', options);
      checkPublishing(to, message, this.maxMessageBytes);
      const headers = storableHeaders(message);
      const origin = to.exchange === '' ? message.origin : to;
      const isAsGiven = headers === message.headers && origin === message.origin;
      const stored = isAsGiven ? message : { ...message, headers, origin };
      const flags =
        (message.persistent === false ? 0 : this.#flags) |
        (options?.noWait === true ? NO_WAIT : 0) |
        (options?.mandatory === false ? OPTIONAL : 0);
      const pending = new PendingPublish(this, message.id, options);
      const id = this.#client.publish(pending, to, stored, flags);
      this.#publishes.limit(id, pending, options?.signal);
      return pending.promise;
    } catch (error) {
      return Promise.reject(isQueueError(error) ? error : unwritable(message, error));
    }
  }

  async subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<QueueSubscription> {
    const prefetch = integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
    this.#checkUsable('subscribe', options);
    refuseUnknown(options);
    const number = this.#client.newSubscription();
    // Before the response, which comes with the first deliveries.
    const inspects = options.sparesLimit === true;
    const command = { kind: 'subscribe', subscription: number, queue, prefetch, inspects } as const;
    const subscription = new DiskSubscription(this.#subscribedTo(command), options, onDelivery);
    let isPaused: CommandResult;
    try {
      isPaused = await this.#command('subscribe', options, command);
    } catch (error) {
      // Without waiting for it: if the time limit ended, the store may be blocked.
      subscription.close();
      throw error;
    }
    if (this.#closing !== undefined) {
      await subscription.close();
      throw closedError();
    }
    this.#subscriptions.add(subscription);
    const forget = () => this.#subscriptions.delete(subscription);
    subscription.ended.then(forget, forget);
    if (isPaused === true && !inspects) this.#observe({ type: 'queue-paused', queue });
    return subscription;
  }

  #subscribedTo(command: SubscribedTo['command']): SubscribedTo {
    const observe = (event: BrokerEvent) => {
      if (event.type === 'unsubscribed' || event.type === 'resubscribed') this.#counts[event.type]++;
      this.#observe(event);
    };
    const declare = (spec: QueueSpec) => this.#declare(spec, undefined);
    const restore = () => this.#declared.restore(command.queue, declare);
    return { client: this.#client, command, observe, restore };
  }

  receiveReplies(listener: ReplyListener): Replies {
    const declare = async (spec: QueueSpec, options?: WaitOptions) => {
      await this.#declare(spec, options);
    };
    // Not declared again if others remove it: replies in it are lost, and their requests are told so.
    return new ReplyQueue({ declare, subscribe: (...args) => this.subscribe(...args) }, listener);
  }

  async openState(name: string, options: SharedStateOptions, wait?: WaitOptions): Promise<SharedState> {
    this.#checkUsable(`opening '${name}'`, wait);
    const command = (asked: Asked) => this.#command(asked.kind, wait, asked);
    return new MergedState(stateCommands(name, this.maxMessageBytes, command), options).open();
  }

  async viewState(name: string, wait?: WaitOptions): Promise<SharedStateView> {
    const value = await this.#command(`reading '${name}'`, wait, { kind: 'read-state', name });
    return viewOf(value as string | undefined);
  }

  async removeState(name: string, wait?: WaitOptions): Promise<boolean> {
    return (await this.#command(`removing '${name}'`, wait, { kind: 'remove-state', name })) === 1;
  }

  async takeStarts(request: StartsRequest): Promise<StartsGrant> {
    return (await this.#command('takeStarts', undefined, { kind: 'take-starts', request })) as StartsGrant;
  }

  async inspect(queue: string, options?: WaitOptions): Promise<QueueStats> {
    checkQueueName(queue);
    const { consumers = 0, ...others } = await this.operator.queue(queue, options);
    const { ready, unsettled, delayed, dead, oldestAgeMs, bytes, rates, unknown } = others;
    return { ready, consumers, unsettled, delayed, dead, oldestAgeMs, bytes, rates, unknown };
  }

  async listBindings(queue: string, options?: WaitOptions): Promise<readonly ListedBinding[]> {
    checkQueueName(queue);
    return (await this.#command('listBindings', options, {
      kind: 'list-bindings',
      queue,
    })) as ListedBinding[];
  }

  /** In portions, so that others get the lock meanwhile; only the messages that were there at the start. */
  async purge(queue: string, options?: WaitOptions): Promise<number> {
    const { ready } = await this.inspect(queue, options);
    let purged = 0;
    while (purged < ready) {
      const portion = (await this.#command('purge', options, { kind: 'purge', queue })) as number;
      if (portion === 0) break;
      purged += portion;
    }
    return purged;
  }

  async remove(queue: string, options?: WaitOptions): Promise<void> {
    checkQueueName(queue);
    await this.#declared.forget(queue, () => this.#command('remove', options, { kind: 'remove', queue }));
    this.#exclusive.delete(queue);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const begin = performance.now();
    const reason = closedError();
    this.#publishes.end(reason);
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.endByBroker(reason)));
    const inTime = (answer: Promise<unknown>) => withinAnswerLimit(answer, begin);
    for (const queue of this.#exclusive) void this.#client.command({ kind: 'remove', queue }, inTime);
    // The response comes after those of all earlier requests: acknowledgements are stored, publishes settled.
    await this.#client.command({ kind: 'settled' }, inTime);
    await leaveStore(this.#client, answerLimit(begin));
  }

  async #command(action: string, options: WaitOptions | undefined, command: Asked): Promise<CommandResult> {
    this.#checkUsable(action, options);
    try {
      return await this.#client.command(command, (answer) =>
        options === undefined ? answer : within(answer, action, options, 'no answer'),
      );
    } catch (error) {
      throw isQueueError(error, 'TIMEOUT') ? because(error, lockHolder(this.#client.folder)) : error;
    }
  }

  #checkUsable(action: string, options: WaitOptions | undefined): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#client.ended !== undefined) throw this.#client.ended;
    checkWaitOptions(options);
    throwIfAborted(options?.signal, action);
  }
}
