/** How long an outage of no length lasts: from the moment at which all connections are reset. */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { TcpProxy } from '../../dist/testing/tcp-proxy.js';
import { withClient } from './client-run.mjs';

export const timesItself = true;

/** Until a message that is sent after the cut has been handled. A send that fails is tried again, as a user would. */
export async function reconnect({ url, ...options }) {
  const { hostname, port } = new URL(url);
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port || 5672) });
  try {
    return await withClient({ ...options, url, clientUrl: proxy.url(url) }, async (client) => {
      let handled = 0;
      const stop = await client.consume(() => {
        handled++;
      });
      const handledOne = async () => {
        const before = handled;
        while (handled === before) {
          await Promise.race([client.send(), delay(1000)]).catch(() => {});
          await delay(2);
        }
      };
      await handledOne();
      await delay(200);
      const cpuBefore = process.cpuUsage();
      const begin = performance.now();
      proxy.cut();
      await handledOne();
      const ms = performance.now() - begin;
      const cpu = process.cpuUsage(cpuBefore);
      await delay(100);
      await stop();
      return { count: 1, ms, cpuUs: cpu.user + cpu.system };
    });
  } finally {
    await proxy.close();
  }
}
