import { randomUUID } from 'node:crypto';
import { orderOf, orderSchema } from '../../order.mjs';
import { openWith } from './amqplib.mjs';

/** What a careful program does besides: it validates, encodes and labels, asks to hear of what no queue takes, decodes and validates. */
export function open(options) {
  const { size } = options;
  return openWith(
    {
      encode: (i = 0) => Buffer.from(JSON.stringify(orderSchema.parse(orderOf(1_000_000 + i, size)))),
      decode: (body) => orderSchema.parse(JSON.parse(body.toString())),
      propertiesOf: () => ({
        persistent: true,
        mandatory: true,
        messageId: randomUUID(),
        timestamp: Math.floor(Date.now() / 1000),
        contentType: 'application/json',
      }),
    },
    options,
  );
}
