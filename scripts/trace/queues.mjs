import { defineQueue } from '../../dist/index.js';

/** Takes everything. */
const any = { '~standard': { version: 1, vendor: 'trace', validate: (value) => ({ value }) } };

export const [orders, bills, parcels] = ['orders', 'bills', 'parcels'].map((name) => defineQueue(name, any));
