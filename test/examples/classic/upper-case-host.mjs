/** The server of the example in a process of its own. Tells its port, and its clients and memory whenever it is asked. */
import { once } from 'node:events';
import { createAnsweringServer } from '../../../dist/examples/socket-server/server.js';

const server = createAnsweringServer().listen(0, '127.0.0.1', 4096);
await once(server, 'listening');
process.send({ port: server.address().port });
process.on('message', () => {
  globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  server.getConnections((_error, clients) =>
    process.send({ clients, rssBytes: rss, heldBytes: heapUsed + external }),
  );
});
process.on('disconnect', () => process.exit());
