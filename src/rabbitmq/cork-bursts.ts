import { Duplex } from 'node:stream';

/**
 * Has the bytes that are written to a connection in one go leave in one go.
 *
 * amqplib makes one system call, and with `noDelay` one packet, of each message, and offers no other way. Its socket
 * is in no type and not promised: where there is none, everything goes on as it would.
 */
export function corkBursts(connection: object): void {
  if (!('stream' in connection && connection.stream instanceof Duplex)) return;
  const { stream } = connection;
  const { write } = stream;
  const uncork = () => stream.uncork();
  stream.write = (...args: unknown[]): boolean => {
    // A burst ends before anything else happens, so that a message by itself waits for nothing.
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(uncork);
    }
    return Reflect.apply(write, stream, args);
  };
}
