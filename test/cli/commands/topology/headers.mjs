import { defineExchange } from '../../../../dist/index.js';

export const sorted = defineExchange('sorted', { type: 'headers' });
