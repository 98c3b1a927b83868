import { defineQueue } from '../../../../dist/index.js';

/** Any value will do. */
const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };

/** The queue of the test, which says how it is defined. */
export const queue = defineQueue(
  process.env.TEST_QUEUE,
  anything,
  JSON.parse(process.env.TEST_OPTIONS ?? '{}'),
);

export const notAQueue = { name: 'nothing' };
