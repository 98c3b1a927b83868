/** The events of the shop, and their subscribers. */
import { defineSubscription, defineTopic } from 'millrace';
import { z } from 'zod';

export function shopOf(prefix: string) {
  const shop = defineTopic(prefix, {
    'order.placed': z.object({ id: z.string(), item: z.string(), total: z.number() }),
    'order.cancelled': z.object({ id: z.string(), why: z.string() }),
    'item.changed': z.object({ item: z.string(), price: z.number() }),
  });
  return {
    shop,
    // Each gets copies of its own: no other notices when one of them is slow, fails, or is away.
    mail: defineSubscription(shop, 'mail', { to: ['order.*'] }),
    invoice: defineSubscription(shop, 'invoice', { to: ['order.placed'] }),
    search: defineSubscription(shop, 'search', { to: ['item.changed', 'order.placed'] }),
  };
}
