import type { BrokerCounts } from '../broker.js';

/** A local broker has no links that could be lost. */
export const NO_LINK_COUNTS: BrokerCounts = Object.freeze({
  resent: 0,
  disconnected: 0,
  blocked: 0,
  unsubscribed: 0,
  resubscribed: 0,
});
