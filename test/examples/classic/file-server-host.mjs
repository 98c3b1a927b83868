/** The server of the example in a process of its own. Tells its port, and its clients and memory whenever it is asked. */
import { once } from 'node:events';
import { createFileServer } from '../../../dist/examples/file-transfer/server.js';

const server = createFileServer(process.argv[2]).listen(0, '127.0.0.1');
await once(server, 'listening');
let peakBytes = 0;
setInterval(() => {
  if (process.memoryUsage.rss() <= peakBytes) return;
  // Measures what is held, and not how late V8 collects garbage, which differs by version.
  globalThis.gc();
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
}, 20).unref();
process.send({ port: server.address().port });
process.on('message', () => {
  server.getConnections((_error, clients) => process.send({ clients, peakBytes }));
});
process.on('disconnect', () => process.exit());
