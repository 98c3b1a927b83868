/** The public types of the page. Those of Node's requests and responses are declared here, for projects without them. */
import type { Schedule } from '../schedules/schedule.js';

/** The part of `IncomingMessage` that is used; Express and Connect add `originalUrl` and `baseUrl`. */
export interface PageRequest {
  /** As in Node. */
  readonly method?: string | undefined;
  /** As in Node. */
  readonly url?: string | undefined;
  /** As in Node. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The part of `ServerResponse` that is used. */
export interface PageResponse {
  /** As in Node. */
  writeHead(status: number, headers?: Record<string, string | number>): unknown;
  /** As in Node. */
  end(body?: string): unknown;
}

/** The options of `createPage`. All have defaults. */
export interface PageOptions {
  /**
   * What a browser shows to be let in, as `?token=…` in the first address; a cookie from then on. At least 16 characters.
   * Default: a random one, see {@link Page.token}. `false`: whoever reaches the page may use it, which is right only behind
   * a login of your own.
   */
  readonly token?: string | false | undefined;
  /**
   * Where in your server the page is mounted, as `/queues`. Express and Connect tell it themselves. Default: `''`, the
   * whole server.
   */
  readonly path?: string | undefined;
  /**
   * Names by which the page may be reached, besides `localhost` and the loopback addresses, as they stand in the header
   * `Host`, without the port. Others are refused, because a foreign site may have its name resolve to this machine.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Only these queues. Default: all; on RabbitMQ that takes the management API. */
  readonly queues?: readonly string[] | undefined;
  /** Their next and last ticks are shown. Default: none. */
  readonly schedules?: readonly Schedule[] | undefined;
  /** Nothing can be changed by the page. Default: false. */
  readonly readOnly?: boolean | undefined;
  /** Bodies and headers of messages are not shown, and can't be downloaded. Default: false. */
  readonly hideBodies?: boolean | undefined;
  /** Who sends a request, for the audit. Default: the address that it comes from. */
  readonly user?: ((request: PageRequest) => string) | undefined;
  /** Called for each action that somebody took on the page. Its errors are ignored. Default: a line on standard error. */
  readonly audit?: ((entry: AuditEntry) => void) | undefined;
}

/** What somebody did on the page. */
export interface AuditEntry {
  /** When it ended. */
  readonly at: Date;
  /** Who, as `user` says. */
  readonly user: string;
  /** `pause`, `resume`, `purge`, `move`, `replay` or `drop`. */
  readonly action: string;
  /** The queue that it was done to. */
  readonly queue: string;
  /** What became of it: how many messages, where to, or why it failed. */
  readonly outcome: string;
  /** Whether it was done; false if it was refused, stopped or failed. */
  readonly ok: boolean;
}

/** A page for operators: a handler of HTTP requests. Made by `createPage`. */
export interface Page {
  /** Answers a request for the page. */
  (request: PageRequest, response: PageResponse): void;
  /** What a browser shows to be let in; undefined with `token: false`. */
  readonly token: string | undefined;
  /** Ends the page's connections and what it has under way; the broker stays open. Always resolves. */
  close(): Promise<void>;
}
