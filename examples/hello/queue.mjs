import { defineQueue } from 'millrace';
import { z } from 'zod';

/** Plain text in a queue that is declared as the RabbitMQ tutorial declares it, so that programs of any language fit. */
export const hello = (name = 'hello') =>
  defineQueue(name, z.string(), { codec: 'text', declare: 'if-missing' });
