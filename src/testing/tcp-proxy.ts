import { EventEmitter, once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** The way of bytes through a `TcpProxy`. */
export type Direction = 'to-broker' | 'to-client';

/** The target of a `TcpProxy`'s connections. */
export interface Target {
  /** A host name or an IP address. */
  readonly host: string;
  /** A TCP port. */
  readonly port: number;
}

/** The treatment of the bytes of one direction. */
type Flow = 'open' | 'frozen' | 'dropping';

/** One client's connection and the one to the broker that goes with it. */
interface Link {
  readonly client: Socket;
  readonly broker: Socket;
  /** Whether it has lost bytes, so that it can only be reset. */
  torn: boolean;
}

/** How many pieces a slowed-down link passes on per second. */
const PIECES_PER_SECOND = 20;

/** The most that one direction of a delayed link holds. Beyond that it stops reading, as a network would. */
const MAX_DELAYED_BYTES = 4 * 1024 * 1024;

/**
 * A TCP proxy between a client and a broker that simulates network failures. It listens on the loopback interface.
 *
 *   const proxy = await TcpProxy.start({ host: '127.0.0.1', port: 5672 });
 *   const connection = await connect(proxy.url(amqpUrl()));
 *   proxy.cut();
 */
export class TcpProxy implements AsyncDisposable {
  /** The port that the proxy listens on, on 127.0.0.1. */
  readonly port: number;
  /** Bytes passed on since the start. */
  readonly passed: Record<Direction, number> = { 'to-broker': 0, 'to-client': 0 };

  readonly #target: Target;
  readonly #links = new Set<Link>();
  readonly #flow: Record<Direction, Flow> = { 'to-broker': 'open', 'to-client': 'open' };
  readonly #resetAfter = new Map<Direction, { bytes: number; done: () => void }>();
  /** Emits 'thaw' when frozen bytes may continue. */
  readonly #changes = new EventEmitter().setMaxListeners(0);
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #delayMs = 0;
  #server: Server | undefined;
  #closed = false;

  /** Listens on a free port of 127.0.0.1, and connects to the target for each client. */
  static async start(target: Target): Promise<TcpProxy> {
    const server = await listen(0);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return new TcpProxy(target, server, address.port);
  }

  private constructor(target: Target, server: Server, port: number) {
    this.#target = target;
    this.port = port;
    this.#serve(server);
  }

  /** The same address, through the proxy. */
  url(brokerUrl: string): string {
    const url = new URL(brokerUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  /** How many connections go through the proxy at this moment. */
  get connections(): number {
    return this.#links.size;
  }

  /** Resets all connections. New ones are accepted. */
  cut(): void {
    for (const link of this.#links) this.#reset(link);
  }

  /** Refuses new connections, or accepts them again. Open connections stay open. */
  async refuse(refusing: boolean): Promise<void> {
    if (this.#closed) throw new Error('the proxy is closed');
    if (refusing) {
      this.#server?.close();
      this.#server = undefined;
    } else if (this.#server === undefined) {
      this.#serve(await listen(this.port));
    }
  }

  /** Holds back all bytes and ends of streams in both directions. New connections are accepted and are silent, too. */
  freeze(): void {
    this.#flow['to-broker'] = 'frozen';
    this.#flow['to-client'] = 'frozen';
  }

  /** Loses all bytes of one direction, and the end of the stream; the other direction continues. */
  halfOpen(lost: Direction): void {
    this.#flow[lost] = 'dropping';
  }

  /** Ends `freeze` and `halfOpen`. Frozen bytes arrive now; connections that lost bytes are reset. */
  thaw(): void {
    this.#flow['to-broker'] = 'open';
    this.#flow['to-client'] = 'open';
    for (const link of this.#links) if (link.torn) this.#reset(link);
    this.#changes.emit('thaw');
  }

  /** Limits the bytes per second in each direction of each connection. `Infinity` lifts the limit. */
  slow(bytesPerSecond: number): void {
    if (!(bytesPerSecond > 0))
      throw new RangeError(`bytes a second must be more than 0, not ${bytesPerSecond}`);
    this.#bytesPerSecond = bytesPerSecond;
  }

  /**
   * Delays every byte by `ms` milliseconds in each direction, as a longer cable would: a round trip takes twice that longer,
   * and the bandwidth stays the same. 0 ends the delay.
   */
  delay(ms: number): void {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY))
      throw new RangeError(`a delay must be 0 or more milliseconds, not ${ms}`);
    this.#delayMs = ms;
  }

  /**
   * Passes on another `bytes` bytes in that direction, counted over all connections, and then resets all of them once.
   * Resolves when that has happened.
   */
  resetAfterBytes(bytes: number, direction: Direction): Promise<void> {
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`'${bytes}' is no number of bytes`);
    return new Promise((done) => this.#resetAfter.set(direction, { bytes, done }));
  }

  /** Stops listening and resets all connections. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const server = this.#server;
    this.#server = undefined;
    const gone = server && once(server, 'close');
    server?.close();
    this.cut();
    this.#changes.emit('thaw');
    await gone;
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(server: Server): void {
    this.#server = server;
    server.on('connection', (client) => this.#link(client));
  }

  #link(client: Socket): void {
    const broker = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const link: Link = { client, broker, torn: false };
    this.#links.add(link);
    this.#watch(link, client, 'to-broker');
    this.#watch(link, broker, 'to-client');
    void this.#pump(link, client, broker, 'to-broker');
    void this.#pump(link, broker, client, 'to-client');
  }

  /** Passes a reset on, as far as the flow lets it. */
  #watch(link: Link, from: Socket, direction: Direction): void {
    from.on('error', async () => {
      await this.#thawed(direction);
      if (this.#flow[direction] === 'dropping') link.torn = true;
      else this.#reset(link);
    });
    from.on('close', () => {
      if (link.client.destroyed && link.broker.destroyed) this.#links.delete(link);
    });
  }

  /** Carries the bytes of one direction of one link, and then the end of the stream. Never rejects. */
  async #pump(link: Link, from: Socket, to: Socket, direction: Direction): Promise<void> {
    let delayed = Promise.resolve();
    let delayedBytes = 0;
    try {
      // Not destroyed at its end: the other direction may still be open.
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        const due = performance.now() + this.#delayMs;
        delayedBytes += chunk.length;
        delayed = delayed.then(async () => {
          await until(due);
          for (let rest: Buffer = chunk; rest.length > 0; )
            rest = rest.subarray(await this.#carry(link, to, rest, direction));
          delayedBytes -= chunk.length;
        });
        if (this.#delayMs === 0 || delayedBytes > MAX_DELAYED_BYTES) await delayed;
      }
    } catch {
      return; // The 'error' event handles it.
    }
    await delayed;
    await this.#thawed(direction);
    if (this.#flow[direction] === 'dropping') link.torn = true;
    else if (!to.destroyed) to.end();
  }

  /** Passes on the bytes that may go now, and returns how many were processed. */
  async #carry(link: Link, to: Socket, bytes: Buffer, direction: Direction): Promise<number> {
    await this.#thawed(direction);
    if (this.#flow[direction] === 'dropping') {
      link.torn = true;
      return bytes.length;
    }
    if (to.destroyed) return bytes.length;

    const reset = this.#resetAfter.get(direction);
    const atOnce = Math.max(1, Math.floor(this.#bytesPerSecond / PIECES_PER_SECOND));
    const piece = bytes.subarray(0, Math.min(atOnce, reset?.bytes ?? bytes.length));
    if (piece.length > 0) {
      // Counted before they are written: other links share the limit, and a receiver of bytes must find them counted.
      this.passed[direction] += piece.length;
      if (reset !== undefined) reset.bytes -= piece.length;
      await new Promise<void>((resolve) => to.write(piece, () => resolve()));
    }
    if (reset?.bytes === 0) {
      this.#resetAfter.delete(direction);
      this.cut();
      reset.done();
      return bytes.length;
    }
    if (Number.isFinite(this.#bytesPerSecond)) await delay((piece.length / this.#bytesPerSecond) * 1000);
    return piece.length;
  }

  async #thawed(direction: Direction): Promise<void> {
    while (this.#flow[direction] === 'frozen' && !this.#closed) await once(this.#changes, 'thaw');
  }

  #reset(link: Link): void {
    resetSocket(link.client);
    resetSocket(link.broker);
    this.#links.delete(link);
  }
}

/**
 * libuv refuses to reset a socket whose end is on its way (`EINVAL`), and Node never closes the handle then: the process
 * spins for ever when it exits.
 */
function resetSocket(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** Resolves at that time on the clock of `performance.now()`; at once if it has passed. */
async function until(due: number): Promise<void> {
  const ms = due - performance.now();
  if (ms > 0) await delay(ms);
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}
