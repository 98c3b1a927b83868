import type { Backend } from '../../src/broker.js';
import { backendOf } from '../../src/common/backend-of.js';
import { type ConnectOptions, connect as connectBroker } from '../../src/connect.js';

/** As the public `connect`, for tests that speak to the backend below the typed API. */
export async function connect(url: string | readonly string[], options?: ConnectOptions): Promise<Backend> {
  return backendOf(await connectBroker(url, options));
}
