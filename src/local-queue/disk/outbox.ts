import type { Destination, Message } from '../../broker.js';
import { MessageWriter } from './message-lists.js';
import type { AckRequest, GiveUpRequest, Posted, PublishRequest } from './protocol.js';

/** A post of this size is sent without waiting for the end of the running task. */
const POST_SIZE = 1024 * 1024;
/** So is one of this many messages: the store starts on them while this thread prepares the next. */
const POST_MESSAGES = 256;

/** A run of publishes that still grows. */
interface OpenPublish {
  readonly request: PublishRequest;
  readonly writer: MessageWriter;
}

/** Collects requests to the store thread: all that are made in one go travel in one post. */
export class Outbox {
  readonly #onFirst: () => void;
  readonly #onFull: () => void;
  #requests: Posted[] = [];
  /** The last of the requests, if it is of that kind: the next one joins it. */
  #publish: OpenPublish | undefined = undefined;
  #ack: AckRequest | undefined = undefined;
  #giveUp: GiveUpRequest | undefined = undefined;

  /** `first` is called with the first request of a post; `full` when the post should be sent at once. */
  constructor(on: { readonly first: () => void; readonly full: () => void }) {
    this.#onFirst = on.first;
    this.#onFull = on.full;
  }

  publish(id: number, { exchange, routingKey }: Destination, message: Message, flags: number): void {
    const { request, writer } = this.#publish ?? this.#openPublish();
    const { exchanges, routingKeys } = request;
    let position = routingKeys.length - 1;
    // Most go where the last one went.
    if (routingKeys[position] !== routingKey || exchanges[position] !== exchange) {
      position = routingKeys.findIndex((key, index) => key === routingKey && exchanges[index] === exchange);
      if (position === -1) {
        exchanges.push(exchange);
        position = routingKeys.push(routingKey) - 1;
      }
    }
    writer.append(message);
    if (message.dueAt !== undefined) request.due.set(request.ids.length, message.dueAt);
    request.ids.push(id);
    request.target.push(position);
    request.flags.push(flags);
    if (request.ids.length >= POST_MESSAGES || writer.size >= POST_SIZE) this.#onFull();
  }

  ack(ticket: number): void {
    if (this.#ack === undefined) {
      const ack: AckRequest = { kind: 'ack', tickets: [] };
      this.add(ack);
      this.#ack = ack;
    }
    this.#ack.tickets.push(ticket);
  }

  giveUp(id: number): void {
    if (this.#giveUp === undefined) {
      const giveUp: GiveUpRequest = { kind: 'give-up', ids: [] };
      this.add(giveUp);
      this.#giveUp = giveUp;
    }
    this.#giveUp.ids.push(id);
  }

  add(request: Posted): void {
    this.#close();
    if (this.#requests.length === 0) this.#onFirst();
    this.#requests.push(request);
  }

  /** Empties it. */
  take(): { readonly requests: Posted[]; readonly transfer: ArrayBuffer[] } {
    this.#close();
    const requests = this.#requests;
    this.#requests = [];
    const transfer: ArrayBuffer[] = [];
    for (const request of requests) {
      if (request.kind === 'publish' && request.messages.bytes.byteLength > 0) {
        transfer.push(request.messages.bytes.buffer);
      }
    }
    return { requests, transfer };
  }

  #openPublish(): OpenPublish {
    const writer = new MessageWriter();
    const request: PublishRequest = {
      kind: 'publish',
      exchanges: [],
      routingKeys: [],
      ids: [],
      target: [],
      flags: [],
      due: new Map(),
      messages: writer.lists,
      size: 0,
    };
    this.add(request);
    this.#publish = { request, writer };
    return this.#publish;
  }

  /** The next request does not join the present ones. */
  #close(): void {
    if (this.#publish !== undefined) {
      this.#publish.writer.finish();
      this.#publish.request.size = this.#publish.writer.size;
    }
    this.#publish = undefined;
    this.#ack = undefined;
    this.#giveUp = undefined;
  }
}
