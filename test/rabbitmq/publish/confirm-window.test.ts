import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfirmWindow } from '../../../src/rabbitmq/publish/confirm-window.js';
import { PendingPublish } from '../../../src/rabbitmq/publish/pending-publish.js';
import { toWire } from '../../../src/rabbitmq/wire/amqp-message.js';

let position = 0;

function pending(id: string, routingKey = 'q', bytes = 10): PendingPublish {
  const wire = toWire(
    { exchange: '', routingKey },
    { id, contentType: '', headers: {}, body: 'x'.repeat(bytes) },
  );
  const nothing = () => {};
  return new PendingPublish(wire, position++, {}, nothing, nothing, {
    onAborted: nothing,
    onSettled: nothing,
    onUnroutable: nothing,
  });
}

describe('the window of unconfirmed messages', () => {
  it('gives each message to the answer that is about it, in whatever order the answers come', () => {
    const step = fc.oneof(
      fc.constant('send' as const),
      fc.constant('send' as const),
      fc.record({ nth: fc.nat({ max: 3000 }), multiple: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.boolean(), (steps, many) => {
        const window = new ConfirmWindow();
        const open = new Map<number, PendingPublish>();
        let tag = 0;
        for (const each of steps) {
          if (each === 'send') {
            for (let count = 0; count < (many ? 700 : 1); count++) {
              const message = pending(`m${++tag}`);
              open.set(tag, message);
              window.add(message);
            }
            continue;
          }
          const about = [...open.keys()][each.nth % Math.max(1, open.size)];
          if (about === undefined) continue;
          const tags = each.multiple ? [...open.keys()].filter((one) => one <= about) : [about];
          const taken: PendingPublish[] = [];
          window.answer(about, each.multiple, (message) => taken.push(message));
          expect(taken).toEqual(tags.map((one) => open.get(one)));
          for (const one of tags) open.delete(one);
          expect(window.size).toBe(open.size);
        }
        expect([...window.all()]).toEqual([...open.values()]);
        expect(window.clear()).toEqual([...open.values()]);
        expect(window.size).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('ignores an answer about nothing', () => {
    const window = new ConfirmWindow();
    window.add(pending('a'));
    const taken: PendingPublish[] = [];
    for (const tag of [0, 2, 7]) window.answer(tag, false, (message) => taken.push(message));
    window.answer(1, false, (message) => taken.push(message));
    window.answer(1, false, (message) => taken.push(message));
    expect(taken).toHaveLength(1);
  });

  it.each([
    [0, true],
    [1e12, true],
    [Number.MAX_SAFE_INTEGER, true],
  ])('takes tag %s with multiple for all that were sent', (tag, multiple) => {
    const window = new ConfirmWindow();
    for (const id of ['a', 'b']) window.add(pending(id));
    const taken: PendingPublish[] = [];
    window.answer(tag, multiple, (message) => taken.push(message));
    expect(taken).toHaveLength(2);
    const next = pending('c');
    window.add(next);
    window.answer(3, false, (message) => taken.push(message));
    expect(taken.at(-1)).toBe(next);
  });

  it('holds 64 MiB at most, however few messages these are, and one message of any size', () => {
    const window = new ConfirmWindow();
    const large = () => pending('large', 'q', 30 * 1024 * 1024);
    window.add(large());
    window.add(large());
    expect(window.hasRoomFor(large(), 1000)).toBe(false);
    expect(window.hasRoomFor(pending('small'), 1000)).toBe(true);
    window.answer(1, false, () => {});
    expect(window.hasRoomFor(large(), 1000)).toBe(true);
    window.answer(2, false, () => {});
    expect(window.hasRoomFor(pending('huge', 'q', 65 * 1024 * 1024), 1000)).toBe(true);
  });

  it('counts from 1 again on another channel', () => {
    const window = new ConfirmWindow();
    window.add(pending('a'));
    window.clear();
    const message = pending('b');
    window.add(message);
    const taken: PendingPublish[] = [];
    window.answer(1, true, (each) => taken.push(each));
    expect(taken).toEqual([message]);
  });

  it('takes what comes back for the first of its id and target that has not come back', () => {
    const window = new ConfirmWindow();
    const [elsewhere, first, second] = [pending('twin', 'elsewhere'), pending('twin'), pending('twin')];
    for (const each of [elsewhere, first, second]) window.add(each);
    const target = { exchange: '', routingKey: 'q' };
    expect(window.findReturned('twin', target)).toBe(first);
    first.returned = 'NO_ROUTE';
    expect(window.findReturned('twin', target)).toBe(second);
    expect(window.findReturned('other', target)).toBeUndefined();
    expect(window.findReturned(undefined, target)).toBeUndefined();
  });
});
