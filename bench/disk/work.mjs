/** What each client does with its queue, in one process. */
import * as flows from '../flows.mjs';
import { openClient } from './client-run.mjs';

export const staysOpen = true;

export const publishThenConsume = (options) => flows.publishThenConsume(openClient, options);
export const awaitedSends = (options) => flows.awaitedSends(openClient, options);
