import type { Failure, Message } from '../../broker.js';
import { deadLetterHeaders } from '../../common/history-headers.js';
import { decodeRecord, encodeRecord } from './message-record.js';

/** The record of a message as a dead letter. Bytes that are no record become the body of one, so that they are not lost. */
export function deadLetterRecord(
  record: Buffer,
  history: {
    readonly queue: string;
    readonly seq: number;
    readonly attempt: number;
    readonly failure: Failure;
  },
): Uint8Array {
  let message: Message;
  try {
    message = decodeRecord(record);
  } catch {
    message = {
      id: `unreadable-${history.seq}`,
      contentType: 'application/octet-stream',
      headers: {},
      body: new Uint8Array(record),
    };
  }
  return encodeRecord({ ...message, headers: deadLetterHeaders(message.headers, history) });
}
