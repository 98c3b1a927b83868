import { checkPublishing, storableHeaders } from '../../common/message/create-and-check.js';
import type { SharedStateStore } from '../merged-state.js';
import { MessageWriter } from './message-lists.js';
import type { CommandResult, StateRequest } from './protocol.js';
import type { Asked } from './store-client.js';

/** A state in the store, by commands to the store thread. */
export function stateCommands(
  name: string,
  maxMessageBytes: number,
  command: (asked: Asked) => Promise<CommandResult>,
): SharedStateStore {
  return {
    read: async () => (await command({ kind: 'read-state', name })) as string | undefined,
    change: async ({ from, to, publishing }) => {
      let stored: StateRequest['publishing'];
      if (publishing !== undefined) {
        const { to: destination, mandatory, message } = publishing;
        checkPublishing(destination, message, maxMessageBytes);
        const writer = new MessageWriter();
        const { exchange, routingKey } = destination;
        const origin = exchange === '' ? message.origin : destination;
        writer.append({ ...message, origin, headers: storableHeaders(message) });
        stored = { to: { exchange, routingKey }, mandatory, message: writer.finish(), dueAt: message.dueAt };
      }
      const change: StateRequest = { name, from, to, publishing: stored };
      return (await command({ kind: 'change-state', change })) as string | undefined;
    },
  };
}
