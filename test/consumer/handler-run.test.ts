import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Delivery } from '../../src/broker.js';
import { Context, HandlerRun, Runs } from '../../src/consumer/handler-run.js';

function delivery(n: number): Delivery {
  const message = { id: String(n), contentType: '', headers: {}, body: '', timestamp: undefined };
  return { message, attempt: 1, redelivered: false } as unknown as Delivery;
}

test('runs come and go in any order, and each is found by its delivery', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('add' as const), fc.nat(20))), (steps) => {
      const runs = new Runs();
      const model = new Map<Delivery, HandlerRun>();
      for (const [n, step] of steps.entries()) {
        if (step === 'add') {
          const added = delivery(n);
          const run = new HandlerRun(added);
          runs.add(run);
          model.set(added, run);
        } else {
          const [leaving] = [...model].slice(step % Math.max(1, model.size));
          if (leaving === undefined) continue;
          runs.remove(leaving[1]);
          model.delete(leaving[0]);
          expect(runs.of(leaving[0])).toBeUndefined();
        }
        expect(runs.size).toBe(model.size);
        expect(new Set(runs.all())).toEqual(new Set(model.values()));
        for (const [each, run] of model) expect(runs.of(each)).toBe(run);
      }
    }),
  );
});

test('the own properties of a context are those that handlers are promised, so that it can be spread', () => {
  const taken: Delivery = delivery(1);
  const context = new Context(new HandlerRun(taken), 'orders');
  const names =
    'queue id attempt redelivered headers timestamp correlationId replyTo exchange routingKey type appId userId expiresAt signal';
  expect(Object.keys(context).sort()).toEqual(names.split(' ').sort());
  expect({ ...context }.signal).toBe(context.signal);
});
