/** Updates open pages: one stream of server-sent events for each. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Sampler } from '../figures/sampler.js';
import { type Cells, changedCells } from '../html/cells.js';

/** How many rendered pages can be updated. The oldest are dropped, and reload themselves. */
const MAX_VIEWS = 500;
const MAX_STREAMS = 100;
/** A browser opens at most six connections to a server: if all were streams, it could load nothing else. */
const MAX_STREAMS_OF_BROWSER = 4;
/** A page without a stream asks this often. */
const POLL_MS = 5_000;
/** Something is sent this often, even while the broker does not respond: a browser that receives nothing says so. */
const HEARTBEAT_MS = 5_000;
/** A browser that has read nothing for this long is considered gone. */
const UNREAD_MS = 60_000;

/** The state of the broker, as the script of the page shows it. */
export interface Status {
  readonly state: string;
  /** When the state began. Milliseconds since the epoch. */
  readonly since: number;
  /** Why, if it is not usable. */
  readonly text: string;
}

/** The events of a stream other than the cells of its view. */
export interface Shared {
  status(): Status;
  /** The running jobs, in a form that changes only when they do. */
  jobs(): readonly object[];
}

interface Stream {
  /** The id that it chose, the same for all of its tabs. */
  readonly browser: string;
  readonly response: ServerResponse;
  readonly cells: () => Cells;
  readonly sent: Map<string, string>;
  jobs: string;
  /** When its browser had last read everything. */
  readAt: number;
}

export class Live {
  readonly #sampler: Pick<Sampler, 'watch'>;
  readonly #shared: Shared;
  readonly #views = new Map<string, () => Cells>();
  readonly #streams = new Set<Stream>();
  #stopWatching: (() => void) | undefined;

  readonly #unreadMs: number;

  constructor(sampler: Pick<Sampler, 'watch'>, shared: Shared, unreadMs = UNREAD_MS) {
    this.#sampler = sampler;
    this.#shared = shared;
    this.#unreadMs = unreadMs;
  }

  /** Stores how to update a view, and returns the name by which its page requests the update. */
  register(cells: () => Cells): string {
    const name = randomBytes(9).toString('base64url');
    this.#views.set(name, cells);
    for (const oldest of this.#views.keys()) {
      if (this.#views.size <= MAX_VIEWS) break;
      this.#views.delete(oldest);
    }
    return name;
  }

  /**
   * Serves the stream of a view, until the browser disconnects. While there are too many streams, sends the present state
   * and ends: the browser asks again.
   */
  open(query: URLSearchParams, request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const cells = this.#views.get(query.get('view') ?? '');
    if (cells === undefined) {
      // The page was rendered by another process, or long ago.
      response.end('event: reload\ndata: {}\n\n');
      return;
    }
    const browser = (query.get('browser') ?? '').slice(0, 36);
    const stream: Stream = { browser, response, cells, sent: new Map(), jobs: '', readAt: Date.now() };
    if (this.#isFull(browser)) this.#answerOnce(stream);
    else this.#add(stream, request);
  }

  #isFull(browser: string): boolean {
    if (this.#streams.size >= MAX_STREAMS) return true;
    const own = [...this.#streams].filter((stream) => stream.browser === browser);
    return browser !== '' && own.length >= MAX_STREAMS_OF_BROWSER;
  }

  #answerOnce(stream: Stream): void {
    const { response } = stream;
    try {
      const wait = `retry: ${POLL_MS}\n${event('polled', { everyMs: POLL_MS })}`;
      response.end(`${wait}${this.#events(stream)}`);
    } catch {
      response.destroy();
    }
  }

  #add(stream: Stream, request: IncomingMessage): void {
    const { response } = stream;
    this.#streams.add(stream);
    this.#stopWatching ??= this.#watch();
    request.socket.setNoDelay(true);
    const leave = () => {
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      this.#stopWatching?.();
      this.#stopWatching = undefined;
    };
    response.once('close', leave);
    response.on('error', leave);
    this.#push(stream);
  }

  pushAll(): void {
    for (const stream of this.#streams) this.#push(stream);
  }

  close(): void {
    for (const { response } of this.#streams) response.end();
    this.#stopWatching?.();
    this.#streams.clear();
    this.#views.clear();
  }

  #watch(): () => void {
    const unwatch = this.#sampler.watch(() => this.pushAll());
    const heartbeat = setInterval(() => this.pushAll(), HEARTBEAT_MS);
    return () => {
      clearInterval(heartbeat);
      unwatch();
    };
  }

  /** A browser that reads slowly gets only the latest state. */
  #push(stream: Stream): void {
    const { response } = stream;
    if (response.destroyed) return;
    if (response.writableNeedDrain) {
      if (Date.now() - stream.readAt > this.#unreadMs) response.destroy();
      return;
    }
    stream.readAt = Date.now();
    try {
      response.write(this.#events(stream));
    } catch {
      // The browser connects again. The other views, and the process, are unaffected.
      response.destroy();
    }
  }

  #events(stream: Stream): string {
    const { sent, cells } = stream;
    const jobs = JSON.stringify(this.#shared.jobs());
    const events = [event('status', this.#shared.status())];
    const changed = changedCells(cells(), sent);
    if (Object.keys(changed).length > 0) events.push(event('cells', changed));
    if (jobs !== stream.jobs) events.push(`event: jobs\ndata: ${jobs}\n\n`);
    stream.jobs = jobs;
    return events.join('');
  }
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
