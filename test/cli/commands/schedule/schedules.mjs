import { defineQueue, defineSchedule } from '../../../../dist/index.js';

/** Any value will do. */
const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };

const prefix = process.env.TEST_PREFIX;

export const reports = defineQueue(`${prefix}-reports`, anything);
export const nightly = defineSchedule(`${prefix}-nightly`, {
  cron: '0 3 29 2 *',
  tz: 'Europe/Berlin',
  send: [reports, { day: 'today' }],
});
export const often = defineSchedule(`${prefix}-often`, { everyMs: 200, send: [reports, 'tick'] });
