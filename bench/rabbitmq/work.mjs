/** What each client does on the broker, each in its own idiom, on a queue as millrace declares one by default. */
import * as flows from '../flows.mjs';
import { openClient } from './client-run.mjs';

export const staysOpen = true;

export const publishThenConsume = (options) => flows.publishThenConsume(openClient, options);
export const bothAtOnce = (options) => flows.bothAtOnce(openClient, options);
export const awaitedSends = (options) => flows.awaitedSends(openClient, options);
