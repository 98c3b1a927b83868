import type { Destination, Message } from '../../broker.js';
import { DEFAULT_PRIORITY } from '../../broker.js';
import { RecordWriter } from './message-record.js';
import type { AckRequest, PublishRequest, Request } from './protocol.js';

/** A post of this size is sent without waiting for the end of what runs. */
const POST_BYTES = 1024 * 1024;

interface OpenPublish extends PublishRequest {
  readonly writer: RecordWriter;
}

/**
 * Collects requests on their way to the store thread: all that are made in one go travel in one post. `onFull` asks
 * for the post to be sent at once.
 */
export class Outbox {
  readonly #onFirst: () => void;
  readonly #onFull: () => void;
  #requests: Request[] = [];
  /** The last of the requests, where it is of that kind: what comes next joins it. */
  #publish: OpenPublish | undefined = undefined;
  #ack: AckRequest | undefined = undefined;
  /** How much to make room for at first: as much as last time. */
  #expectedBytes = 4096;

  constructor(on: { readonly first: () => void; readonly full: () => void }) {
    this.#onFirst = on.first;
    this.#onFull = on.full;
  }

  publish(id: number, { routingKey }: Destination, message: Message, flags: number): void {
    const request = this.#publish ?? this.#openPublish();
    const { queues, writer } = request;
    let position = queues.length - 1;
    if (queues[position] !== routingKey) {
      position = queues.indexOf(routingKey);
      if (position === -1) position = queues.push(routingKey) - 1;
    }
    writer.append(message);
    request.ids.push(id);
    request.queue.push(position);
    request.priorities.push(message.priority ?? DEFAULT_PRIORITY);
    request.flags.push(flags);
    request.ends.push(writer.length);
    if (writer.length >= POST_BYTES) this.#onFull();
  }

  ack(ticket: number): void {
    if (this.#ack === undefined) {
      const ack: AckRequest = { kind: 'ack', tickets: [] };
      this.add(ack);
      this.#ack = ack;
    }
    this.#ack.tickets.push(ticket);
  }

  add(request: Request): void {
    if (this.#requests.length === 0) this.#onFirst();
    this.#requests.push(request);
    this.#publish = undefined;
    this.#ack = undefined;
  }

  /** Empties it. */
  take(): { readonly requests: Request[]; readonly transfer: ArrayBuffer[] } {
    const requests = this.#requests;
    const transfer: ArrayBuffer[] = [];
    this.#requests = [];
    this.#publish = undefined;
    this.#ack = undefined;
    const sent = requests.map((request) => {
      if (request.kind !== 'publish') return request;
      const { writer, ...publish } = request as OpenPublish;
      publish.records = writer.bytes;
      transfer.push(writer.bytes.buffer);
      this.#expectedBytes = Math.min(Math.max(writer.length, 4096), POST_BYTES);
      return publish;
    });
    return { requests: sent, transfer };
  }

  #openPublish(): OpenPublish {
    const request: OpenPublish = {
      kind: 'publish',
      queues: [],
      ids: [],
      queue: [],
      priorities: [],
      flags: [],
      ends: [],
      records: new Uint8Array(),
      writer: new RecordWriter(this.#expectedBytes),
    };
    this.add(request);
    this.#publish = request;
    return request;
  }
}
