/** Sends standard input line by line to the server, and prints its answers. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', short: 'p', default: '7777' },
  },
});

const socket = connect({ host: values.host, port: Number(values.port), allowHalfOpen: true });
try {
  await once(socket, 'connect');
  // Ctrl+D ends the input, and with it the sending side of the connection; the answers still arrive.
  await Promise.all([pipeline(process.stdin, socket), pipeline(socket, process.stdout, { end: false })]);
} catch (error) {
  console.error(`${values.host}:${values.port}: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
process.stdin.destroy();
