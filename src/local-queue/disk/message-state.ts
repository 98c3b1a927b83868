/** What a queue knows of a message besides the record, wherever the message is. */
export interface MessageState {
  /** Its name in the queue, for as long as it is there. */
  readonly seq: number;
  /** Its place in line among those of its priority. It keeps it when it goes back, and gets a new one on a retry. */
  readonly place: number;
  readonly priority: number;
  /** Which attempt its next delivery is. */
  readonly attempt: number;
  /** How often it came back from a process that died. */
  readonly returns: number;
  /** Whether it may have been handed out before. */
  readonly redelivered: boolean;
}

const BYTES = 20;

export function encodeState(state: MessageState): Buffer {
  const bytes = Buffer.allocUnsafe(BYTES);
  bytes.writeUIntLE(state.seq, 0, 6);
  bytes.writeUIntLE(state.place, 6, 6);
  bytes[12] = state.priority;
  bytes[13] = state.redelivered ? 1 : 0;
  bytes.writeUInt32LE(state.attempt, 14);
  bytes.writeUInt16LE(Math.min(state.returns, 0xffff), 18);
  return bytes;
}

/** Undefined for bytes that are no state. */
export function decodeState(bytes: Buffer): MessageState | undefined {
  if (bytes.length !== BYTES) return undefined;
  return {
    seq: bytes.readUIntLE(0, 6),
    place: bytes.readUIntLE(6, 6),
    priority: bytes[12] ?? 0,
    redelivered: bytes[13] === 1,
    attempt: bytes.readUInt32LE(14),
    returns: bytes.readUInt16LE(18),
  };
}
