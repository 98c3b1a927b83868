import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PendingPublish, SendQueue } from '../../../src/rabbitmq/publish/pending-publish.js';
import { toWire } from '../../../src/rabbitmq/wire/amqp-message.js';

const nothing = () => {};

function pending(position: number): PendingPublish {
  const message = { id: `m${position}`, contentType: '', headers: {}, body: '' };
  const wire = toWire({ exchange: '', routingKey: 'q' }, message);
  const listener = { onAborted: nothing, onSettled: nothing, onUnroutable: nothing };
  return new PendingPublish(wire, position, {}, nothing, nothing, listener);
}

const positions = fc.uniqueArray(fc.nat({ max: 50 }), { maxLength: 20 });

it('keeps messages in the order of their positions, however they come and go', () => {
  fc.assert(
    fc.property(positions, positions, fc.array(fc.nat({ max: 50 })), (first, later, leaving) => {
      const line = new SendQueue();
      const members = new Map<number, PendingPublish>();
      const join = (position: number) => {
        const joining = pending(position);
        members.set(position, joining);
        return joining;
      };
      for (const position of first) line.add(join(position));
      for (const position of leaving) {
        const member = members.get(position);
        if (member !== undefined) expect(line.remove(member)).toBe(true);
        members.delete(position);
      }
      const again = later.filter((position) => !members.has(position)).sort((a, b) => a - b);
      line.addAll(again.map(join));

      const expected = [...members.keys()].sort((a, b) => a - b);
      expect([...line].map(({ position }) => position)).toEqual(expected);
      const shifted: number[] = [];
      for (let next = line.first; next !== undefined; next = line.first) {
        shifted.push(next.position);
        line.remove(next);
        expect(line.remove(next)).toBe(false);
      }
      expect(shifted).toEqual(expected);
      expect(line.isEmpty).toBe(true);
    }),
  );
});
