/** Looks at a connection per heartbeat interval. */
const LOOKS_PER_INTERVAL = 4;

/**
 * One look less than two intervals: whatever the moment of the last byte between two looks, the silence is found
 * before twice the interval is over. RabbitMQ sends something at least every half interval.
 */
const SILENT_LOOKS = 2 * LOOKS_PER_INTERVAL - 1;

/** What amqplib keeps to itself. Where it is not there, amqplib's own watch finds the silence, somewhat later. */
interface Internals {
  /** Of the negotiation with the broker. Seconds, 0 for none. */
  readonly heartbeat?: unknown;
  readonly stream?: { readonly bytesRead?: unknown };
}

/**
 * Calls back when nothing has come from the broker for about twice the heartbeat interval; amqplib by itself takes up
 * to three. Looks are counted and not milliseconds, so that a process that was busy for long, and has not read what
 * lies there, does not take its link for dead. Returns how to end the watch.
 */
export function watchSilence(connection: object, onSilent: (seconds: number) => void): () => void {
  const { heartbeat, stream }: Internals = connection;
  if (typeof heartbeat !== 'number' || heartbeat === 0 || stream?.bytesRead === undefined) return () => {};
  let bytesRead: unknown;
  let silentLooks = 0;
  const look = () => {
    silentLooks = stream.bytesRead === bytesRead ? silentLooks + 1 : 0;
    bytesRead = stream.bytesRead;
    if (silentLooks < SILENT_LOOKS) return;
    clearInterval(timer);
    onSilent((silentLooks * heartbeat) / LOOKS_PER_INTERVAL);
  };
  const timer = setInterval(look, (heartbeat * 1000) / LOOKS_PER_INTERVAL).unref();
  return () => clearInterval(timer);
}
