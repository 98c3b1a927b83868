import type { ConfirmChannel, Message } from 'amqplib';
import { pause } from '../../common/waiting/waiting.js';
import { type Connection, onChannelClosed } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { PublishChannel, type PublishChannelListener } from '../wire/publish-channel.js';

/** Before another attempt to open a channel, on a connection that is still there. */
const REOPEN_AFTER_MS = 500;

export interface OpenChannelListener extends PublishChannelListener {
  onOpen(channel: PublishChannel): void;
  /** The open channel is gone. `byServer`: the broker closed it, and not the whole connection. */
  onLost(reason: Error, byServer: boolean): void;
  /** The broker could not route a message. Its confirm follows. */
  onReturn(message: Message): void;
}

/** Keeps one confirm channel open whenever the link is connected, until the signal is aborted. */
export function keepChannelOpen(
  link: ReconnectingConnection,
  signal: AbortSignal,
  listener: OpenChannelListener,
): void {
  let current: PublishChannel | undefined;
  const open = async (connection: Connection): Promise<void> => {
    while (connection.isOpen && !signal.aborted) {
      try {
        const channel = await connection.openConfirmChannel();
        return use(connection, channel);
      } catch {
        // The connection is closing, or currently has no channel left.
        await pause(REOPEN_AFTER_MS, signal);
      }
    }
  };
  const use = (connection: Connection, channel: ConfirmChannel): void => {
    const internals = connection.publishInternals(channel);
    const publishing = new PublishChannel(channel, internals, connection.negotiated.frameMax, listener);
    channel.on('return', (message) => listener.onReturn(message));
    onChannelClosed(connection, channel, (reason, byServer) => {
      if (current !== publishing) return;
      current = undefined;
      listener.onLost(reason, byServer);
      if (connection.isOpen) void open(connection);
    });
    current = publishing;
    listener.onOpen(publishing);
  };
  link.listen({ onConnected: (connection) => void open(connection) });
  if (link.connection !== undefined) void open(link.connection);
}
