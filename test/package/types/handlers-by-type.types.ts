import { z } from 'zod';
import { type Broker, createConsumer, defineQueue, type HandlersByType } from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('click'), x: z.number(), y: z.number() }),
  z.object({ type: z.literal('key'), key: z.string() }),
  z.object({ type: z.enum(['tick', 'tock']), at: z.number() }),
]);
type Event = z.infer<typeof event>;
const events = defineQueue('events', event);

createConsumer(broker, events, {
  by: 'type',
  handlers: {
    click: ({ x, y }, { attempt }) => x + y + attempt,
    async key({ key }) {
      key satisfies string;
    },
    tick: ({ at }) => at,
    tock: (value) => {
      value satisfies { type: 'tick' | 'tock'; at: number };
      // @ts-expect-error: another type's part
      value.key;
    },
  },
});

const click = () => {};
const others = { key: click, tick: click };
createConsumer(
  broker,
  events,
  { by: 'type', handlers: { click, ...others, tock: click } },
  { concurrency: 2 },
);
// @ts-expect-error: 'tock' is missing
createConsumer(broker, events, { by: 'type', handlers: { click, ...others } });
// @ts-expect-error: 'clik' is misspelt
createConsumer(broker, events, { by: 'type', handlers: { clik: click, ...others, tock: click } });
// @ts-expect-error: there is no type 'scroll'
createConsumer(broker, events, { by: 'type', handlers: { click, ...others, tock: click, scroll: click } });
// @ts-expect-error: not what tells the type
createConsumer(broker, events, { by: 'kind', handlers: { click, ...others, tock: click } });
createConsumer(broker, events, {
  by: 'type',
  // @ts-expect-error: not what a click has
  handlers: { click: ({ key }: { key: string }) => key, ...others, tock: click },
});
// One handler for all still gets the union.
createConsumer(broker, events, (value) => {
  if (value.type === 'click') value.x satisfies number;
});

const numbers = defineQueue('numbers', z.object({ n: z.number() }));
// @ts-expect-error: it has no part that tells a type
createConsumer(broker, numbers, { by: 'n', handlers: {} });

export type Cases = [
  Expect<Equal<keyof HandlersByType<Event, 'type'>['handlers'], 'click' | 'key' | 'tick' | 'tock'>>,
];

createConsumer(broker, events, {
  byMessage: 'type',
  handlers: {
    'order.placed': (_: Event, { type }) => type satisfies string | undefined,
    other: (value) => value.type satisfies string,
  },
  otherwise: (value: Event) => value,
});
// @ts-expect-error: a message has no such name
createConsumer(broker, events, { byMessage: 'colour', handlers: {} });
// @ts-expect-error: one of the two
createConsumer(broker, events, { by: 'type', byMessage: 'type', handlers: {} });
// @ts-expect-error: another value
createConsumer(broker, events, { byMessage: 'type', handlers: { a: (value: number) => value } });
