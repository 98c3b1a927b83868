import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { createUpperCaseServer } from './server.mjs';

const { values } = parseArgs({ options: { port: { type: 'string', short: 'p', default: '7777' } } });

const server = createUpperCaseServer();
const clients = new Set();
server.on('connection', (client) => {
  clients.add(client);
  client.once('close', () => clients.delete(client));
});

server.listen(Number(values.port), '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
console.log(`listening on 127.0.0.1:${port}; talk to it with: nc 127.0.0.1 ${port}. To exit press CTRL+C`);

process.once('SIGINT', () => {
  server.close();
  for (const client of clients) client.destroy();
});
