import { defineExchange, defineQueue, defineSubscription, defineTopic } from '../../../../dist/index.js';

/** Any value will do. */
const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };

const prefix = process.env.TEST_PREFIX;

export const shop = defineTopic(
  `${prefix}-shop`,
  { 'order.placed': anything, 'order.cancelled': anything },
  { unrouted: process.env.TEST_UNROUTED || 'keep' },
);
export const billing = defineSubscription(shop, 'billing', { to: ['order.*'] });
export const orders = defineQueue(`${prefix}-orders`, anything, { capacity: 10 });
export const legacy = defineQueue(`${prefix}-legacy`, anything, {
  type: 'classic',
  deadLetter: false,
  bindings: [{ exchange: defineExchange(`${prefix}-logs`, { type: 'fanout' }) }],
});
/** Ends with its process: nothing to declare in advance. */
export const cache = defineSubscription(shop, { each: 'process', to: ['order.placed'] });

/** Only where the test asks for it. */
export const bounded =
  process.env.TEST_BOUNDED &&
  defineSubscription(shop, 'bounded', { to: ['order.*'], type: process.env.TEST_BOUNDED, capacity: 10 });
