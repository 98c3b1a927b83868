import { once } from 'node:events';
import { connect } from 'amqplib';
import { bodyOf } from '../../order.mjs';
import { acknowledgeAfter, PREFETCH, WINDOW } from '../window.mjs';

/** A callback for each confirm, an acknowledgement for each message, bytes as they are. */
export function open(options) {
  const properties = { persistent: true };
  return openWith(
    { encode: () => bodyOf(options.size), decode: () => {}, propertiesOf: () => properties },
    options,
  );
}

export async function openWith({ encode, decode, propertiesOf }, { url, queue }) {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(PREFETCH);
  let isOpen = true;
  /** @returns {Promise<void>} */
  const send = () =>
    new Promise((resolve, reject) => {
      channel.sendToQueue(queue, encode(), propertiesOf(), (error) => (error ? reject(error) : resolve()));
    });

  return {
    send,
    async publishAll(count) {
      let unconfirmed = 0;
      let failure;
      let wake = () => {};
      const confirmed = (error) => {
        failure ??= error;
        unconfirmed--;
        wake();
      };
      /** @returns {Promise<void>} */
      const oneConfirmed = () =>
        new Promise((resolve) => {
          wake = resolve;
        });
      for (let i = 0; i < count && !failure; i++) {
        unconfirmed++;
        const room = channel.sendToQueue(queue, encode(i), propertiesOf(), confirmed);
        if (!room) await once(channel, 'drain');
        if (unconfirmed >= WINDOW) await oneConfirmed();
      }
      while (unconfirmed > 0) await oneConfirmed();
      if (failure) throw failure;
    },
    async consume(onMessage) {
      const { consumerTag } = await channel.consume(queue, (message) => {
        decode(message.content);
        // Where the time is over before a slow handler is, the channel is gone.
        acknowledgeAfter(onMessage(), () => isOpen && channel.ack(message));
      });
      return () => channel.cancel(consumerTag);
    },
    async close() {
      isOpen = false;
      await channel.close();
      await connection.close();
    },
  };
}
