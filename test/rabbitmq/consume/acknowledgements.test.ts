import type { Message } from 'amqplib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Acknowledgements } from '../../../src/rabbitmq/consume/acknowledgements.js';
import { eventually } from '../../support/eventually.js';

/** A consumer's deliveries and what the broker has been told of them. */
class Deliveries {
  readonly acknowledged = new Set<number>();
  readonly sent: string[] = [];
  readonly #open = new Set<number>();
  readonly #finished = new Set<number>();
  #last = 0;

  readonly acknowledgements: Acknowledgements;

  constructor(prefetch = 1000) {
    this.acknowledgements = new Acknowledgements(
      (message, allUpTo) => this.#onAck(message.fields.deliveryTag, allUpTo),
      () => this.#open.values().next().value,
      prefetch,
    );
  }

  deliver(): void {
    this.#open.add(++this.#last);
  }

  /** Finishes the nth of those that are open. */
  finish(position: number): void {
    const tags = [...this.#open];
    const tag = tags[position % tags.length];
    if (tag === undefined) return;
    this.#open.delete(tag);
    this.#finished.add(tag);
    this.acknowledgements.add({ fields: { deliveryTag: tag } } as Message);
  }

  #onAck(tag: number, allUpTo: boolean): void {
    // RabbitMQ closes the channel over a tag that is not outstanding.
    expect(this.acknowledged).not.toContain(tag);
    this.sent.push(`${tag}${allUpTo ? ' and all below' : ''}`);
    const tags = allUpTo ? [...this.#finished, ...this.#open].filter((each) => each <= tag) : [tag];
    for (const each of tags) {
      expect(this.#open).not.toContain(each);
      this.acknowledged.add(each);
    }
  }

  expectAllFinishedAcknowledged(): void {
    expect(this.acknowledged).toEqual(this.#finished);
  }
}

describe('acknowledgements', () => {
  it('of a turn go out together at its end when they hold up the prefetch window', async () => {
    const deliveries = new Deliveries(100);
    for (let count = 0; count < 100; count++) deliveries.deliver();
    for (let count = 0; count < 100; count++) deliveries.finish(0);
    expect(deliveries.sent).toEqual([]);
    await new Promise(setImmediate);
    expect(deliveries.sent).toEqual(['100 and all below']);
  });

  it('never wait for more where each holds up the prefetch window', async () => {
    const deliveries = new Deliveries(1);
    deliveries.deliver();
    deliveries.finish(0);
    await new Promise(setImmediate);
    expect(deliveries.sent).toEqual(['1']);
  });

  it('that hold up nothing wait for more, and then go out by themselves', async () => {
    const deliveries = new Deliveries(100);
    for (let count = 0; count < 30; count++) deliveries.deliver();
    for (let count = 0; count < 10; count++) deliveries.finish(0);
    await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
    expect(deliveries.sent).toEqual([]);
    await eventually(() => deliveries.sent.length > 0);
    expect(deliveries.sent).toEqual(['10 and all below']);
    deliveries.finish(0);
    await eventually(() => deliveries.sent.length > 1);
    expect(deliveries.sent).toEqual(['10 and all below', '11']);
  });

  it('beyond an unfinished delivery go out singly', () => {
    const deliveries = new Deliveries();
    for (let count = 0; count < 6; count++) deliveries.deliver();
    for (const position of [0, 0, 1, 1]) deliveries.finish(position);
    deliveries.acknowledgements.flush();
    expect(deliveries.sent).toEqual(['4', '5', '2 and all below']);
  });

  it('never include an unfinished delivery, and include every finished one, in whatever order they come', () => {
    const step = fc.oneof(
      fc.constant('deliver' as const),
      fc.constant('flush' as const),
      fc.nat({ max: 20 }),
      fc.nat({ max: 20 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const deliveries = new Deliveries();
        for (const each of steps) {
          if (each === 'deliver') deliveries.deliver();
          else if (each === 'flush') deliveries.acknowledgements.flush();
          else deliveries.finish(each);
        }
        deliveries.acknowledgements.flush();
        deliveries.expectAllFinishedAcknowledged();
      }),
    );
  });
});
