import { randomUUID } from 'node:crypto';
import { bodyOf } from '../../order.mjs';
import { openWith } from './amqplib.mjs';

/** Bytes as they are, in the same message as millrace sends: the same labels, and it asks to hear of what no queue takes. */
export function open(options) {
  return openWith({ encode: () => bodyOf(options.size), decode: () => {}, propertiesOf: labels }, options);
}

export function labels() {
  return {
    persistent: true,
    mandatory: true,
    messageId: randomUUID(),
    timestamp: Math.floor(Date.now() / 1000),
    contentType: 'application/json',
  };
}
