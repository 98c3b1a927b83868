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

/**
 * Messages that follow each other in number and in place, and are alike otherwise. What was sent together is stored,
 * leased and acknowledged together, as one entry of a table, however many messages that is.
 */
export interface Span {
  readonly first: MessageState;
  /** At least one. */
  readonly count: number;
}

const STATE_BYTES = 20;
/** The state of the first message and the count, 32 bits, which is left out where it is one. All little-endian. */
const SPAN_BYTES = 24;

export function encodeState(state: MessageState): Buffer {
  return encodeSpan({ first: state, count: 1 });
}

export function encodeSpan({ first, count }: Span): Buffer {
  const bytes = Buffer.allocUnsafe(count === 1 ? STATE_BYTES : SPAN_BYTES);
  bytes.writeUIntLE(first.seq, 0, 6);
  bytes.writeUIntLE(first.place, 6, 6);
  bytes[12] = first.priority;
  bytes[13] = first.redelivered ? 1 : 0;
  bytes.writeUInt32LE(first.attempt, 14);
  bytes.writeUInt16LE(Math.min(first.returns, 0xffff), 18);
  if (count > 1) bytes.writeUInt32LE(count, STATE_BYTES);
  return bytes;
}

/** Undefined for bytes that are no state. */
export function decodeState(bytes: Buffer): MessageState | undefined {
  return bytes.length === STATE_BYTES ? decodeSpan(bytes)?.first : undefined;
}

/** Undefined for bytes that are no span. */
export function decodeSpan(bytes: Buffer): Span | undefined {
  if (bytes.length !== STATE_BYTES && bytes.length !== SPAN_BYTES) return undefined;
  const first = {
    seq: bytes.readUIntLE(0, 6),
    place: bytes.readUIntLE(6, 6),
    priority: bytes[12] ?? 0,
    redelivered: bytes[13] === 1,
    attempt: bytes.readUInt32LE(14),
    returns: bytes.readUInt16LE(18),
  };
  const count = bytes.length === STATE_BYTES ? 1 : bytes.readUInt32LE(STATE_BYTES);
  return count === 0 ? undefined : { first, count };
}

/** The state of one of the messages of a span. */
export function stateAt({ first }: Span, index: number): MessageState {
  if (index === 0) return first;
  const { seq, place, priority, attempt, returns, redelivered } = first;
  return { seq: seq + index, place: place + index, priority, attempt, returns, redelivered };
}

/** The span without its first messages, of which there are fewer than it has. */
export function without(span: Span, messages: number): Span {
  return { first: stateAt(span, messages), count: span.count - messages };
}

/** Whether a message can be the next one of a span. */
export function continues({ first, count }: Span, next: MessageState): boolean {
  return (
    next.seq === first.seq + count &&
    next.place === first.place + count &&
    next.priority === first.priority &&
    next.attempt === first.attempt &&
    next.returns === first.returns &&
    next.redelivered === first.redelivered
  );
}
