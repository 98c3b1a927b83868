import type { Backend } from '../../src/broker.js';

/** A broker that passes its calls to another, except for `own`. It has none of the optional functions of the seam. */
export function forwardTo(broker: Backend, own: Partial<Backend>): Backend {
  return {
    url: broker.url,
    state: broker.state,
    outage: broker.outage,
    counts: broker.counts,
    maxMessageBytes: broker.maxMessageBytes,
    declare: (...args) => broker.declare(...args),
    declareExchange: (...args) => broker.declareExchange(...args),
    removeExchange: (...args) => broker.removeExchange(...args),
    listBindings: (...args) => broker.listBindings(...args),
    publish: (...args) => broker.publish(...args),
    subscribe: (...args) => broker.subscribe(...args),
    receiveReplies: (...args) => broker.receiveReplies(...args),
    openState: (...args) => broker.openState(...args),
    viewState: (...args) => broker.viewState(...args),
    removeState: async () => false,
    inspect: (...args) => broker.inspect(...args),
    purge: (...args) => broker.purge(...args),
    remove: (...args) => broker.remove(...args),
    close: () => broker.close(),
    [Symbol.asyncDispose]: () => broker.close(),
    ...own,
  };
}
