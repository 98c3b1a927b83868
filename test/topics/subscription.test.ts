import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineSubscription } from '../../src/topics/subscription.js';
import { defineTopic } from '../../src/topics/topic.js';

const shop = defineTopic('shop', { 'order.placed': z.string(), 'order.paid': z.string() });
const keysOf = (bindings: readonly { readonly routingKey: string }[] = []) =>
  bindings.map(({ routingKey }) => routingKey);

test.each([[['order.#']], [['order.#', '*.paid']]])(
  'patterns that are no longer wanted are unbound: %j',
  (unbind) => {
    const { spec } = defineSubscription(shop, 'billing', { to: ['order.placed'], unbind });
    expect(keysOf(spec.bindings)).toEqual(['order.placed']);
    expect(keysOf(spec.unbind)).toEqual(unbind);
  },
);
