import { orderOf, orderSchema } from '../../order.mjs';
import { openWith } from './amqplib.mjs';
import { labels } from './amqplib-labels.mjs';

/** What a careful program does besides: it validates, encodes and labels, decodes and validates. */
export function open(options) {
  const { size } = options;
  return openWith(
    {
      encode: (i = 0) => Buffer.from(JSON.stringify(orderSchema.parse(orderOf(1_000_000 + i, size)))),
      decode: (body) => orderSchema.parse(JSON.parse(body.toString())),
      propertiesOf: labels,
    },
    options,
  );
}
