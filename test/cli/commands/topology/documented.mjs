import { z } from 'zod';
import {
  defineExchange,
  defineQueue,
  defineRoute,
  defineSubscription,
  defineTopic,
} from '../../../../dist/index.js';

const line = z.object({ sku: z.string(), count: z.int().positive() });

/** A schema that refers to itself. */
const category = z.object({
  name: z.string(),
  get children() {
    return z.array(category);
  },
});

export const shop = defineTopic('shop', {
  'order.placed': z.object({
    id: z.uuid(),
    at: z.coerce.date(),
    lines: z.array(line),
    note: z.string().default(''),
  }),
  'order.cancelled': z.object({ id: z.uuid(), why: z.enum(['late', 'broken']) }),
  'categories.changed': category,
});
export const billing = defineSubscription(shop, 'billing', { to: ['order.*'] });
export const words = defineQueue('words', z.string(), { codec: 'text' });
export const strange = defineQueue('strange/näme #1', z.object({ n: z.bigint(), at: z.date() }), {
  deadLetter: false,
});
/** Its id would be that of the one above. */
export const stranger = defineQueue('strange?näme #1', z.unknown());
export const lines = defineRoute(
  defineExchange('logs', { type: 'direct' }),
  z.object({ severity: z.string() }),
  {
    routingKey: ({ severity }) => severity,
  },
);
export const all = defineRoute(defineExchange('everything', { type: 'fanout' }), z.string());
/** No parameter of its address. */
export const braces = defineQueue('{braces}', z.string(), { deadLetter: false });
/** Without JSON Schema. */
export const plain = defineQueue('plain', {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
});
/** The topic of this one is not exported. */
export const audit = defineSubscription(
  defineTopic('audit', { 'user.seen': z.object({ user: z.string() }) }),
  'log',
  {
    to: ['#'],
  },
);
