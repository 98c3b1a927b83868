// A handler in a thread, which traces what it does there.
import { instrument } from '../../../dist/otel/index.js';
import { api, setUp } from './sdk.mjs';

const provider = setUp('thread');
instrument();

export default async function pack(value) {
  await Promise.resolve();
  api.trace.getTracer('app').startSpan(`pack ${value}`).end();
  await provider.forceFlush();
}
